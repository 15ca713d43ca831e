"""Training steps on cores that others use, too, by how long torch's threads spin before they sleep.

``python benchmarks/shared_cores.py [SPINS ...]`` (default 3000, which the commands set, against
300000, which is that of the GNU OpenMP runtime) keeps two processes a setting, each with a thread a
core, and lets them train in turn, five rounds: alone, beside a process that is always busy, and
both of a setting at once.
"""

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack

from trainers import Trainer

DEFAULT, ROUNDS = "300000", 5
NETWORKS = ("resnext3d:2x10x112:fp32", "resnet_cifar:64x1x32:fp32")


def together(trainers: list[Trainer]) -> float:
    for trainer in trainers:
        trainer.start()
    return statistics.mean([trainer.took().seconds for trainer in trainers])


def beside_a_busy_process(trainer: Trainer) -> float:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            return together([trainer])
        finally:
            busy.kill()


def measure(network: str, spins: list[str]) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        pairs: dict[str, list[Trainer]] = {one: [] for one in spins}
        for one, pair in pairs.items():
            for _ in "12":
                pair.append(Trainer(network, {"GOMP_SPINCOUNT": one}))
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
                    f"{network}, {situation}, {one} spins: "
                    f"{1000 * statistics.median(row[one] for row in seconds):.0f} ms a step, "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                    "times as fast",
                    flush=True,
                )
    return found


def main() -> None:
    spins = [DEFAULT, *(sys.argv[1:] or ["3000"])]
    print(json.dumps({network: measure(network, spins) for network in NETWORKS}))


if __name__ == "__main__":
    main()
