"""Training steps on cores that others use, too, by how long torch's threads spin before they sleep.

``python benchmarks/shared_cores.py [SPINS ...]`` (default 3000, which the commands set, against
300000, which is that of the GNU OpenMP runtime) keeps two processes a setting, each with a thread a
core, and lets them train in turn, five rounds: alone, beside a process that is always busy, and
both of a setting at once.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

DEFAULT, ROUNDS, STEPS = "300000", 5, 2
NETWORKS = {"resnext3d": (2, 10, 112), "resnet_cifar": (64, 1, 32)}


class Trainer:
    """A process that trains when it is told to."""

    def __init__(self, name: str, spins: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--train", name],
            env=os.environ | {"GOMP_SPINCOUNT": spins},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def seconds(self) -> float:
        """Of a step, once it is done."""
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def train(name: str) -> None:
    """Trains some steps for each line of stdin."""
    import torch
    from torch import nn

    from cdb_video.models import build_model

    torch.manual_seed(0)
    model = build_model(name, 19).to(memory_format=torch.channels_last_3d)
    count, frames, side = NETWORKS[name]
    clips = torch.randint(0, 256, (count, 3, frames, side, side), dtype=torch.uint8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for _ in sys.stdin:
        begin = time.perf_counter()
        for _ in range(STEPS):
            nn.functional.cross_entropy(model(clips), torch.arange(count) % 19).backward()
            optimizer.step()
            optimizer.zero_grad()
        print((time.perf_counter() - begin) / STEPS, flush=True)


def together(trainers: list[Trainer]) -> float:
    for trainer in trainers:
        trainer.start()
    return statistics.mean([trainer.seconds() for trainer in trainers])


def beside_a_busy_process(trainer: Trainer) -> float:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            return together([trainer])
        finally:
            busy.kill()


def measure(name: str, spins: list[str]) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        pairs: dict[str, list[Trainer]] = {one: [] for one in spins}
        for one, pair in pairs.items():
            for _ in "12":
                pair.append(Trainer(name, one))
                stack.callback(pair[-1].close)
                together(pair[-1:])  # warms up
        situations = {
            "alone": lambda pair: together(pair[:1]),
            "beside a busy process": lambda pair: beside_a_busy_process(pair[0]),
            "two at once": together,
        }
        found: dict[str, dict[str, float]] = {}
        for situation, run in situations.items():
            seconds = [{one: run(pair) for one, pair in pairs.items()} for _ in range(ROUNDS)]
            found[situation] = {}
            for one in spins:
                ratios = [row[DEFAULT] / row[one] for row in seconds]
                found[situation][one] = round(statistics.median(ratios), 2)
                print(
                    f"{name}, {situation}, {one} spins: "
                    f"{1000 * statistics.median(row[one] for row in seconds):.0f} ms a step, "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                    "times as fast",
                    flush=True,
                )
    return found


def main() -> None:
    spins = [DEFAULT, *(sys.argv[1:] or ["3000"])]
    print(json.dumps({name: measure(name, spins) for name in NETWORKS}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2])
    else:
        main()
