"""Peak memory and computing time of a training step with MODEL.ACT_CHECKPOINT, next to one without.

python benchmarks/act_checkpoint.py [--backbone resnext3d] [--batch 2] [--frames 10] [--size 112]
    [--device cpu] [--steps 3]
"""

import argparse
import multiprocessing
import os
import resource
import time

import torch
from torch.nn import functional as F

from cdb_video.models import build_model
from cdb_video.models.checkpointing import checkpoint_stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnext3d")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    # Freed memory goes back to the system at once, so that the peak is of what is in use.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    # A process of its own for each, as a process knows the highest of its peaks only.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        results = pool.starmap(measure, [(args, False), (args, True)], chunksize=1)
    print(
        f"{args.backbone}, clips {(args.batch, 3, args.frames, args.size, args.size)}, "
        f"{args.device}, torch {torch.__version__}, {torch.get_num_threads()} threads; "
        f"shortest of {args.steps} steps"
    )
    print(f"{'':<22}{'activations MiB':>16}{'step s':>10}")
    for name, (memory, seconds) in zip(("plain", "checkpointed"), results, strict=True):
        print(f"{name:<22}{memory:>16.0f}{seconds:>10.2f}")
    ratios = [after / before for before, after in zip(*results, strict=True)]
    print(f"{'ratio':<22}{ratios[0]:>16.2f}{ratios[1]:>10.2f}")


def measure(args: argparse.Namespace, checkpointed: bool) -> tuple[float, float]:
    """(MiB at the peak of a step, beyond the network and its gradients; shortest seconds)."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    model = build_model(args.backbone, 400).to(device, memory_format=torch.channels_last_3d)
    if checkpointed:
        checkpoint_stages(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    shape = (args.batch, 3, args.frames, args.size, args.size)
    video = torch.randn(shape, device=device).to(memory_format=torch.channels_last_3d)
    target = torch.zeros(args.batch, dtype=torch.long, device=device)
    # Seconds of computing on the CPU, which other programs do not add to.
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    before, times = in_use(device), []
    for _ in range(args.steps):
        start = clock()
        F.cross_entropy(model(video), target).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - start)
    return (peak(device) - before) / 2**20, min(times)


def in_use(device: torch.device) -> int:
    """Bytes in use by this process now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak(device: torch.device) -> int:
    """Most bytes in use by this process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
