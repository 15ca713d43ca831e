"""The cost of a network: multiply-adds of a clip, time and memory of a training step."""

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm)
MAX_STEPS = 5
MAX_SECONDS = 10.0
"""No further step is timed after so long."""


def count_gmacs(build: Callable[[], nn.Module], shape: tuple[int, int, int, int]) -> float:
    """Billions of multiply-adds of one clip in eval mode.

    torch counts convolutions, linear layers, matrix products and attention. A norm counts two for
    each element, as in fvcore. Nothing is computed (meta device), except for a network that needs
    values.

    Args:
        build: makes the network on torch's default device.
        shape: (3, T, H, W) of the clip.
    """
    try:
        return _count(build, shape, "meta")
    except (RuntimeError, ValueError):
        return _count(build, shape, "cpu")


def _count(build: Callable[[], nn.Module], shape: tuple[int, ...], device: str) -> float:
    norm_elements = 0

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal norm_elements
        norm_elements += output.numel()

    with torch.device(device), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = build().eval()
        for module in model.modules():
            if isinstance(module, NORMS):
                module.register_forward_hook(note)
        model(torch.zeros(1, *shape))
    return (float(counter.get_total_flops()) / 2 + 2 * norm_elements) / 1e9


def stage_shapes(model: Any, video: Tensor) -> dict[str, tuple[int, ...]]:
    """Parts of a stage -> output shape of the last part, in the order of stages.

    Stages that end in a parameter or in a module without a tensor output are left out.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def note(stage: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            shapes[stage] = tuple(output.shape)

    modules = dict(model.named_modules())
    hooks = [
        modules[stage[-1]].register_forward_hook(partial(note, ", ".join(stage)))
        for stage in model.stages
        if stage[-1] in modules
    ]
    with torch.no_grad():
        model.eval()(video)
    for hook in hooks:
        hook.remove()
    return shapes


def time_steps(model: nn.Module, video: Tensor) -> list[float]:
    """Seconds of steps of training: forward, cross entropy, backward and plain SGD.

    The first step is a warm-up and is left out. At least one is timed.
    """
    layout = torch.channels_last_3d  # as in training
    model.train().to(memory_format=layout)  # type: ignore[call-overload]
    video = video.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    target = torch.zeros(len(video), dtype=torch.int64, device=video.device)
    seconds: list[float] = []
    while len(seconds) < 1 + MAX_STEPS and sum(seconds[1:]) < MAX_SECONDS:
        start = time.perf_counter()
        functional.cross_entropy(model(video), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if video.is_cuda:
            torch.cuda.synchronize(video.device)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def load_torch(device: torch.device) -> None:
    """Takes a tiny step: the first step loads code, 100 MB on the CPU."""
    nothing = nn.Sequential(nn.Conv3d(3, 1, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    time_steps(nothing.to(device), torch.zeros(2, 3, 1, 1, 1, device=device))


def peak_bytes(device: torch.device) -> int | None:
    """Peak memory: of tensors on CUDA, else of this process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not getrusage: it returns at least the peak of the parent process.
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else None
