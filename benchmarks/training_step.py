"""A training step in each precision and formulation: ms, its ratio to plain float32, GiB, TFLOP/s.

``python benchmarks/training_step.py [--compile blocks|whole] [BACKBONE:CLIPSxFRAMESxSIDE ...]``

All variants of a network take turns in one process, five rounds after a first one that does not
count; a variant that fails is told and left out. On a CPU the sizes are small: a few minutes. With
--compile there are float32 and what ``torch.compile`` makes of bfloat16, block by block and of the
whole network, which takes minutes.
The last line is all that was found so far, as JSON.
"""

import argparse
import importlib
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cdb_video.models import build_model
from cdb_video.models.layers.half_convolution import HalfConvolution, convolve, fold_strides

ROUNDS = 5
CPU = ("resnext3d:4x10x112", "resnet3d:4x10x112", "slowfast_r50:2x32x112", "x3d_m:2x16x112")
CUDA = (
    *("resnext3d:32x10x224", "resnet_cifar:128x1x32", "slowfast_r50:16x32x224", "x3d_m:16x16x224"),
    *("r2plus1d_r50:16x16x224", "mvit_b:8x16x224", "videomae:8x16x224"),
)
Step = Callable[[], Any]


def clips_of(shape: str, device: torch.device) -> torch.Tensor:
    """Noise of ``CLIPSxFRAMESxSIDE``, uint8 (clips, 3, frames, side, side)."""
    clips, frames, side = (int(n) for n in shape.split("x"))
    return torch.randint(0, 256, (clips, 3, frames, side, side), dtype=torch.uint8, device=device)


def network(name: str, precision: str, device: torch.device, layout: Any) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(name, 19).train()
    model.set_precision(precision)
    return model.to(device).to(memory_format=layout)


def step_of(model: nn.Module, video: torch.Tensor, fused: bool = False) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=fused)
    target = torch.arange(len(video), device=video.device) % 19

    def step() -> None:
        loss = functional.cross_entropy(model(video).float(), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def without_merging(model: nn.Module, *, strided: bool = False) -> nn.Module:
    """Convolutions are torch's own, with ``strided`` those alone that have no stride."""
    for module in model.modules():
        if isinstance(module, HalfConvolution) and not (strided and max(module.stride) > 1):
            module.__class__ = type(module).__mro__[2]  # type: ignore[assignment]
    return model


def wide_stem(model: Any, fold: bool) -> nn.Module:
    """The first convolution with zero channels up to a multiple of 8: the same numbers.

    Args:
        fold: its strides become channels beforehand.
    """
    stem: Any = next(m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d)))

    def forward(x: torch.Tensor) -> torch.Tensor:
        weight, stride, padding = stem.weight, stem.stride, stem.padding
        if fold:
            x, weight, padding = fold_strides(x, weight, stride, padding)
            stride = (1,) * len(stride)
        pad = (*(0, 0) * (x.ndim - 2), 0, -x.shape[1] % 8)
        layout = torch.channels_last_3d if x.ndim == 5 else torch.channels_last
        x, wide = (functional.pad(v, pad).contiguous(memory_format=layout) for v in (x, weight))
        return convolve(x, wide, stem.bias, stride, padding, stem.dilation)

    if stem.in_channels != 3:
        raise ValueError("its first convolution has not three channels")
    stem.forward = forward
    return model  # type: ignore[no-any-return]


def graphed(step: Step) -> Step:
    """The step as one CUDA graph, its parameters updated in place."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def variants(name: str, video: torch.Tensor, compiled: str) -> dict[str, Callable[[], Step]]:
    """Name -> what prepares its step; the first is what the others are compared with."""
    last, plain, device = torch.channels_last_3d, torch.contiguous_format, video.device

    def of(precision: str, layout: Any = last) -> nn.Module:
        return network(name, precision, device, layout)

    first = {"fp32 contiguous": lambda: step_of(of("fp32", plain), video)}
    blocks = {"bf16, blocks compiled": lambda: step_of(with_compiled_blocks(of("bf16")), video)}
    whole = {"bf16 compiled": lambda: step_of(_compiled(of("bf16")), video, True)}
    if compiled:
        return first | blocks | (whole if compiled == "whole" else {})
    found: dict[str, Callable[[], Step]] = first | {
        "fp32": lambda: step_of(of("fp32"), video),
        "bf16 of torch": lambda: step_of(without_merging(of("bf16")), video),
        "bf16": lambda: step_of(of("bf16"), video),
    }
    if device.type == "cpu":
        # Of torch itself it may wait without end on a CPU, or be wrong.
        del found["bf16 of torch"]
        return found
    return found | {
        "fp16": lambda: step_of(of("fp16"), video),
        "bf16, only groups with a stride merged": lambda: step_of(
            without_merging(of("bf16"), strided=True), video
        ),
        "bf16 fused SGD": lambda: step_of(of("bf16"), video, fused=True),
        "bf16 padded stem": lambda: step_of(wide_stem(of("bf16"), fold=False), video),
        "bf16 folded stem": lambda: step_of(wide_stem(of("bf16"), fold=True), video),
        "bf16 graph": lambda: graphed(step_of(of("bf16"), video, fused=True)),
        "bf16 graph, folded stem": lambda: graphed(
            step_of(wide_stem(of("bf16"), fold=True), video, fused=True)
        ),
        "fp32 graph": lambda: graphed(step_of(of("fp32"), video, fused=True)),
    }


def with_compiled_blocks(model: nn.Module) -> nn.Module:
    """Each block of a stage by itself: blocks that are alike share what was compiled."""
    dynamo: Any = importlib.import_module("torch._dynamo")
    dynamo.config.recompile_limit = 64  # of one class there are blocks of many sizes
    for stage in model.modules():
        if isinstance(stage, (nn.Sequential, nn.ModuleList)):
            for block in stage:
                if any(True for _ in block.children()):
                    block.compile()
    return model


def _compiled(model: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(model)
    return compiled  # type: ignore[no-any-return]


def measure(name: str, video: torch.Tensor, compiled: str) -> list[dict[str, Any]]:
    device = video.device
    with FlopCounterMode(display=False) as counter:
        step_of(network(name, "fp32", device, torch.channels_last_3d), video)()
    rows: dict[str, dict[str, Any]] = {}
    steps: dict[str, Step] = {}
    for variant, prepare in variants(name, video, compiled).items():
        try:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            steps[variant] = prepare()
            steps[variant]()
            gib = 0.0
            if device.type == "cuda":
                torch.cuda.synchronize()
                gib = torch.cuda.max_memory_allocated() / 2**30
            rows[variant] = {"backbone": name, "variant": variant, "gib": round(gib, 2)}
        except Exception as error:  # noqa: BLE001 - the others are still measured
            print(f"{name} {variant}: {type(error).__name__}: {str(error)[:120]}", flush=True)
            steps.pop(variant, None)
    times: dict[str, list[float]] = {variant: [] for variant in steps}
    for _ in range(ROUNDS):
        for variant, step in steps.items():
            begin = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[variant].append(time.perf_counter() - begin)
    first = next(iter(times.values()), [])
    for variant, values in times.items():
        median = statistics.median(values)
        ratios = [a / b for a, b in zip(first, values, strict=True)]
        rows[variant] |= {
            "ms": round(1000 * median, 1),
            "tflops": round(counter.get_total_flops() / median / 1e12, 2),
            "speedup": round(statistics.median(ratios), 2),
            "from": round(min(ratios), 2),
            "to": round(max(ratios), 2),
        }
        print(*(f"{key} {value}" for key, value in rows[variant].items()), sep=", ", flush=True)
    return list(rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="BACKBONE:CLIPSxFRAMESxSIDE")
    parser.add_argument("--compile", choices=("blocks", "whole"), default="")
    words = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for text in words.networks or (CUDA if device.type == "cuda" else CPU):
        name, shape = text.split(":")
        rows += measure(name, clips_of(shape, device), words.compile)
        print(json.dumps(facts(rows, words.compile)), flush=True)


def facts(rows: list[dict[str, Any]], compiled: str) -> dict[str, Any]:
    """What goes into bench.json; of ``compiled`` steps their rows alone."""
    found: dict[str, Any] = {"steps": rows} if compiled or torch.cuda.is_available() else {}
    if rows and not compiled:
        best = {row["backbone"]: 0.0 for row in rows}
        for row in rows:
            best[row["backbone"]] = max(best[row["backbone"]], row["speedup"])
        found |= {"step_speedup": next(iter(best.values())), "best_speedups": best}
    return found


if __name__ == "__main__":
    main()
