"""Peak memory and time of a gradient with MODEL.ACT_CHECKPOINT, next to one without.

python benchmarks/act_checkpoint.py [--backbone resnext3d] [--batch 4] [--frames 16] [--size 112]
    [--device cpu] [--rounds 5]
"""

import argparse
import multiprocessing
import os
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F

from cdb_video.models import build_model
from cdb_video.models.tuning.checkpointing import checkpoint_stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnext3d")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    # Freed memory goes back to the system at once, so that the peak is of what is in use.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    # A process of its own for each, as a process knows the highest of its peaks only.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = pool.starmap(measure_memory, [(args, False), (args, True)], chunksize=1)
    times = measure_time(args)
    print(
        f"{args.backbone}, clips {(args.batch, 3, args.frames, args.size, args.size)}, "
        f"{args.device}, torch {torch.__version__}, {torch.get_num_threads()} threads; "
        f"shortest of {args.rounds} rounds"
    )
    print(f"{'':<16}{'activations MiB':>16}{'seconds':>10}")
    for name, mebibytes, seconds in zip(("plain", "checkpointed"), memory, times, strict=True):
        print(f"{name:<16}{mebibytes:>16.0f}{seconds:>10.2f}")
    print(f"{'ratio':<16}{memory[1] / memory[0]:>16.2f}{times[1] / times[0]:>10.2f}")


def build(args: argparse.Namespace, checkpointed: bool) -> tuple[nn.Module, torch.Tensor]:
    """A network that has gradients already, and clips for it."""
    torch.manual_seed(0)
    layout = torch.channels_last_3d
    model = build_model(args.backbone, 400).to(args.device, memory_format=layout)
    if checkpointed:
        checkpoint_stages(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    video = torch.randn(args.batch, 3, args.frames, args.size, args.size, device=args.device)
    return model, video.to(memory_format=layout)


def add_gradient(model: nn.Module, video: torch.Tensor) -> None:
    """Forward and backward."""
    target = torch.zeros(len(video), dtype=torch.long, device=video.device)
    F.cross_entropy(model(video), target).backward()
    if video.device.type == "cuda":
        torch.cuda.synchronize(video.device)


def measure_memory(args: argparse.Namespace, checkpointed: bool) -> float:
    """MiB at the peak, beyond the network, its gradients and the clips."""
    model, video = build(args, checkpointed)
    if video.device.type == "cuda":
        before = torch.cuda.memory_allocated()
        add_gradient(model, video)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with open("/proc/self/statm") as file:
        before = int(file.read().split()[1]) * resource.getpagesize()
    add_gradient(model, video)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20


def measure_time(args: argparse.Namespace) -> tuple[float, float]:
    """Shortest seconds without and with checkpointing, timed in turn."""
    variants = [build(args, checkpointed) for checkpointed in (False, True)]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(args.rounds):
        for (model, video), results in zip(variants, times, strict=True):
            start = time.perf_counter()
            add_gradient(model, video)
            results.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])


if __name__ == "__main__":
    main()
