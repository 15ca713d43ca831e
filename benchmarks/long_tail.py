"""Compares losses on small imbalanced image sets, as in docs/results.md; goes on where it stopped.

python benchmarks/long_tail.py [--sets mnist_4v9_r100,...] [--losses ...] [--seeds 3] [--out FOLDER]
"""

import argparse
import csv
import re
import subprocess
import sys
from pathlib import Path

from cdb_video.report.seeds import difference_over_seeds, spread

ROOT = Path(__file__).parents[1]
LOSSES = (
    "cross_entropy,focal,class_balanced,balanced_softmax,"
    "ldam:beta=0.9999:MODEL.HEAD=cosine:LOSS.DEFER_EPOCHS=80%,"
    "cdb_ce:tau=1,cdb_ce:tau=1.5,cdb_ce:tau=dynamic,cdb_ce:tau=1:momentum=0.7,"
    "cdb_logit:prior=0,cdb_logit"
)
"""As for cdb-video compare, but for 80%: of the epochs of each set."""
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
    parser.add_argument("--losses", default=LOSSES, help="as for cdb-video compare")
    parser.add_argument("--seeds", default="3", help="runs of each loss")
    parser.add_argument("--out", default="output/long_tail", help="folder of all runs")
    parser.add_argument("--data", default="datasets", help="folder of the data sets")
    words = parser.parse_args()
    for name in words.sets.split(","):
        data, config, options = SETS[name]
        root = f"{words.data}/{data}"
        run("benchmarks/get_sets.py", data, "--out", root)
        folders = (f"DATA.{data.upper()}.ROOT", root, "OUTPUT_DIR", f"{words.out}/{name}")
        own = (*options.split(), *folders, "TRAIN.KEEP_CHECKPOINTS", "1", "LOG_PERIOD", "1000")
        epochs = int(options.split("MAX_EPOCH ")[1].split()[0])
        losses = words.losses.replace("80%", str(round(0.8 * epochs)))
        arguments = ("--losses", losses, "--seeds", words.seeds, *own)
        run("-m", "cdb_video", "compare", "--cfg", f"configs/images/{config}.yaml", *arguments)
    for score in ("mean class recall", "worst class recall", "mean class precision"):
        print_summary(Path(words.out), words.sets.split(","), score)


def print_summary(out: Path, names: list[str], score: str) -> None:
    """Mean and standard deviation over seeds of every loss on every set, and beside it the
    difference to the first loss, seed by seed, with a 95 % t interval."""
    cells: dict[str, dict[str, str]] = {}
    for name in names:
        runs: dict[str, dict[int, float]] = {}
        with open(ROOT / out / name / "compare.csv", newline="") as file:
            for row in csv.DictReader(file):
                loss = re.sub("DEFER_EPOCHS=[0-9]+", "DEFER_EPOCHS=80%", row["loss"])
                runs.setdefault(loss, {})[int(row["seed"])] = float(row[score])
        first = next(iter(runs.values()))
        for loss, own in runs.items():
            centre, deviation = spread(list(own.values()))
            text = f"{100 * centre:.1f} ± {100 * (deviation or 0):.1f}"
            if own is not first:
                centre, width = difference_over_seeds(first, own)
                text += f" ({100 * centre:+.1f} ± {100 * (width or 0):.1f})"
            cells.setdefault(loss, {})[name] = text
    print(f"\n| {score}, per cent | {' | '.join(names)} |\n{'|---' * (len(names) + 1)}|")
    for loss, columns in cells.items():
        print(f"| `{loss}` | {' | '.join(columns.get(name, '') for name in names)} |")


def run(*words: str) -> None:
    """Runs Python with these words in the project's folder, and ends where it fails."""
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
