"""Times every loss, forward and backward, next to plain cross entropy measured at the same moment.

python benchmarks/losses.py [--batch 32] [--classes 1000] [--device cpu] [--rounds 200]
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from cdb_video.registry import LOSSES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(args.device)
    # Cosines, as LDAM's scale expects: 30 times larger logits would make it multiply denormals.
    logits = 2 * torch.rand(args.batch, args.classes, device=device) - 1
    logits.requires_grad_()
    target = torch.randint(args.classes, (args.batch,), device=device)
    counts = 1 + 1000 * torch.linspace(1, 0, args.classes) ** 3
    print(
        f"batch {args.batch}, {args.classes} classes, {device}, torch {torch.__version__}, ", end=""
    )
    print(f"{torch.get_num_threads()} threads; shortest of {args.rounds} rounds")
    print(f"{'loss':<24}{'us':>10}{'cross entropy us':>18}{'ratio':>8}{'difference us':>15}")
    for name, loss in variants(args.classes, counts.long()).items():
        loss.to(device)
        loss.observe(torch.linspace(0, 1, args.classes), torch.full((args.classes,), 20))
        own, plain = measure(loss, F.cross_entropy, logits, target, args.rounds)
        print(f"{name:<24}{own:>10.1f}{plain:>18.1f}{own / plain:>8.2f}{own - plain:>15.1f}")


def variants(num_classes: int, counts: torch.Tensor) -> dict[str, torch.nn.Module]:
    """Every loss with its defaults, and the focal forms of those that have one."""
    settings = {name: (name, {}) for name in LOSSES.names()}
    settings["class_balanced, gamma 2"] = ("class_balanced", {"gamma": 2.0})
    settings["cdb_ce, gamma 2"] = ("cdb_ce", {"gamma": 2.0})
    return {
        label: LOSSES.get(name)(
            LOSSES.get(name).Options(**options), num_classes=num_classes, class_counts=counts
        )
        for label, (name, options) in settings.items()
    }


def measure(
    loss: Callable[..., torch.Tensor],
    reference: Callable[..., torch.Tensor],
    logits: torch.Tensor,
    target: torch.Tensor,
    rounds: int,
) -> tuple[float, float]:
    """Shortest microseconds of ``loss`` and of ``reference``, timed in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 20):
        for function, results in zip((loss, reference), times, strict=True):
            synchronize(logits.device)
            start = time.perf_counter()
            torch.autograd.grad(function(logits, target), logits)
            synchronize(logits.device)
            if number >= 20:
                results.append((time.perf_counter() - start) * 1e6)
    return min(times[0]), min(times[1])


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
