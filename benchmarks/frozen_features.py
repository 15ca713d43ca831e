"""Compares losses for a linear classifier on frozen ImageNet features of long-tailed CIFAR-10.

python benchmarks/frozen_features.py [--losses ...] [--seeds 5] [--sets ...] [--out FOLDER]
"""

import argparse
from pathlib import Path

from frozen import LOSSES_COMPARED, cifar10, draw, table, train

from cdb_video.data.lists.imbalance import profile_shares, sizes_by_largest

SETS = {
    "r100": sizes_by_largest([4975] * 10, profile_shares(10, "exponential", 100), 0),
    "r10": sizes_by_largest([4975] * 10, profile_shares(10, "exponential", 10), 500),
    "equal": [49] * 10,
    "flat_head": [300] * 6 + [230, 138, 82, 49],
}
"""Training images of each class, in the order of the labels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", default=LOSSES_COMPARED, help="as for cdb-video compare")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each loss")
    parser.add_argument("--sets", default=",".join(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--out", type=Path, default=Path("output/frozen"), help="for the features")
    parser.add_argument("--data", default="datasets/cifar10", help="folder of CIFAR-10")
    words = parser.parse_args()
    data = cifar10(words.data, words.out)
    for name in words.sets.split(","):
        rows = {}
        for loss in words.losses.split(","):
            rows[loss] = {
                seed: train(loss, *draw(data["train"], SETS[name], seed), data["test"], seed)
                for seed in range(words.seeds)
            }
        print(f"\n{name}: {sum(SETS[name])} training images, {SETS[name]}\n", flush=True)
        print("\n".join(table(rows)), flush=True)


if __name__ == "__main__":
    main()
