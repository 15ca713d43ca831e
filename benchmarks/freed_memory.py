"""Training steps on a CPU by a process that keeps the memory it frees, and by one that does not.

``python benchmarks/freed_memory.py [BACKBONE:CLIPSxFRAMESxSIDE:PRECISION ...]`` lets the two take
turns, five rounds.
"""

import json
import statistics
import sys
from contextlib import ExitStack

from trainers import Took, Trainer

NETWORKS = (
    *("resnext3d:16x10x112:fp32", "resnext3d:16x10x112:bf16", "resnext3d:4x10x112:fp32"),
    *("x3d_m:2x16x112:fp32", "slowfast_r50:2x32x112:fp32", "resnet_cifar:128x1x32:fp32"),
)
ROUNDS = 5


def measure(network: str) -> float:
    found: dict[str, list[Took]] = {"gives back": [], "keeps": []}
    with ExitStack() as stack:
        trainers = {way: Trainer(network, {}, way == "keeps") for way in found}
        for trainer in trainers.values():
            stack.callback(trainer.close)
        for round_ in range(ROUNDS + 1):
            for way, trainer in trainers.items():
                trainer.start()
                took = trainer.took()
                if round_:  # the first warms up
                    found[way].append(took)
    for way, rows in found.items():
        seconds, system, peak = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{network}, {way}: {1000 * seconds:.0f} ms a step, {1000 * system:.0f} ms of all "
            f"cores' in the system; at most {peak:.2f} GB"
        )
    ratios = [a.seconds / b.seconds for a, b in zip(*found.values(), strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"{network}: {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times as fast", flush=True
    )
    return round(ratio, 2)


if __name__ == "__main__":
    print(json.dumps({network: measure(network) for network in sys.argv[1:] or NETWORKS}))
