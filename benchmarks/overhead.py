"""What CDB and the loop itself cost, and how long a program takes to start.

``python benchmarks/overhead.py``; both sides of each ratio take turns, five rounds.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import cdb_video.options  # noqa: F401 - losses register
from cdb_video.losses.base import Loss
from cdb_video.models import build_model
from cdb_video.registry import LOSSES

CLASSES, CLIPS, STEPS, ROUNDS = 106, 16, 200, 5


def loss_of(name: str) -> Loss:
    kind = LOSSES.get(name)
    counts = torch.arange(1, CLASSES + 1)
    loss: Loss = kind(kind.Options(), num_classes=CLASSES, class_counts=counts)
    loss.start_epoch(1)
    return loss


def seconds(work: Callable[[], object], times: int = 1) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begin) / times


def step_of(name: str) -> Callable[[], None]:
    loss, target = loss_of(name), torch.arange(CLIPS) % CLASSES
    logits = torch.randn(CLIPS, CLASSES, requires_grad=True)
    return lambda: loss(logits, target).backward()


def main() -> None:
    torch.manual_seed(0)
    plain, cdb = step_of("cross_entropy"), step_of("cdb_ce")
    model = build_model("resnext3d", CLASSES)
    clips = torch.zeros(2, 3, 10, 112, 112, dtype=torch.uint8)
    observed, recall, counts = loss_of("cdb_ce"), torch.rand(CLASSES), torch.full((CLASSES,), 20)
    differences, observing, networks = [], [], []
    for _ in range(ROUNDS):
        differences.append(seconds(cdb, STEPS) - seconds(plain, STEPS))
        observing.append(seconds(lambda: observed.observe(recall, counts), 20))
        networks.append(seconds(lambda: model(clips).float().sum().backward()))
    # A step of two small clips stands for that of sixteen large ones, which takes far longer.
    share = max(0.0, statistics.median(differences)) / statistics.median(networks)
    print(f"CDB adds {1e6 * statistics.median(differences):.0f} us to a step's loss, and takes")
    print(f"{1e3 * statistics.median(observing):.2f} ms after a validation; a step of two clips of")
    print(f"10x112x112 takes {1e3 * statistics.median(networks):.0f} ms")
    words = ["-c", "import torch"], ["tools/train_net.py", "--help"], ["-m", "cdb_video.commands"]
    started: dict[str, list[float]] = {" ".join(one): [] for one in words}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for one in words:
                root = Path(__file__).parents[1]
                command = [sys.executable, *one]
                begin = time.perf_counter()
                with open(Path(folder, "said"), "w", encoding="utf-8") as said:
                    subprocess.run(command, cwd=root, stdout=said, stderr=said, check=False)
                started[" ".join(one)].append(time.perf_counter() - begin)
    for name, values in started.items():
        print(f"{name}: {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")
    help_seconds = statistics.median(started["tools/train_net.py --help"])
    facts = {"cdb_overhead": round(share, 6), "import_seconds": round(help_seconds, 2)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
