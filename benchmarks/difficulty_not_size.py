"""When does difficulty help where size does not? Gain of losses against what hard classes have.

python benchmarks/difficulty_not_size.py [--losses ...] [--seeds 5] [--out FOLDER] [--demo]

Long tails (2,000 to 40 images, ratio 50) are drawn from CIFAR-10 so that the rank correlation of a
class's size and its difficulty is what it should be: -1, the hardest class is the smallest, as
long tails are thought of, to +1, the hardest class is the largest. Difficulty is the error of
cross entropy with 500 images of each class. Two more rows have the labels of 60 % of one class
spread over the others: of the largest class, and of one of equal classes. Linear classifiers on
frozen ImageNet features (frozen.py says what they need). Writes difficulty_not_size.csv and .png,
and prints tables.

With --demo networks are trained on the demo's videos instead, made with sizes drawn against
difficulty: the motion that was recognised least has most clips. KEY VALUE ... go along.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from frozen import LOSSES_COMPARED, Features, cifar10, draw, table, train
from scipy.stats import spearmanr

from cdb_video.data.lists.imbalance import profile_shares, sizes_by_largest
from cdb_video.demo.egtea import NUM_TRAIN, make_demo_data
from cdb_video.report.png import drawn
from cdb_video.report.seeds import difference_over_seeds
from cdb_video.system.csv_rows import write_csv

ROOT = Path(__file__).parents[1]
HARDEST_FIRST = (
    *("Tilt down", "Pan right", "Shake", "Tilt up", "Pan left"),
    *("Roll left", "Zoom out", "Zoom in", "Roll right", "Still"),
)
"""Motions of the demo by recall on its test, from 45 to 100 %: cross entropy, seeds 1 and 2."""
CORRELATIONS = (-1.0, -0.5, 0.0, 0.5, 1.0)
LARGEST, RATIO, EQUAL, WRONG = 2000, 50.0, 300, 0.6
Runs = dict[str, dict[int, dict[str, float]]]
"""Loss -> seed -> scores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", default=LOSSES_COMPARED, help="as for cdb-video compare")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each loss")
    parser.add_argument("--out", type=Path, default=Path("output/frozen"), help="for the features")
    parser.add_argument("--data", default="datasets/cifar10", help="folder of CIFAR-10")
    parser.add_argument("--demo", action="store_true", help="videos in place of images")
    words, opts = parser.parse_known_args()
    if words.demo:
        demo(words, opts)
    else:
        images(words)


def images(words: argparse.Namespace) -> None:
    """All losses on all sets."""
    data, losses = cifar10(words.data, words.out), words.losses.split(",")
    difficulty = measure(data)
    print("difficulty:", ", ".join(f"{d:.2f}" for d in difficulty))
    tails = {f"{r:+.1f}": sizes_with(r, difficulty) for r in CORRELATIONS}
    results: dict[str, Runs] = {}
    for name, sizes in (*tails.items(), ("equal", [EQUAL] * 10)):
        results[name] = run(data, sizes, losses, words.seeds, wrong=None)
        show(name, sizes, results[name])
    for name, sizes, wrong in (
        ("wrong labels, largest", tails["+0.0"], int(np.argmax(tails["+0.0"]))),
        ("wrong labels, equal", [EQUAL] * 10, 4),
    ):
        results[name] = run(data, sizes, losses, words.seeds, wrong)
        show(f"{name}: class {wrong}", sizes, results[name])
    write(words.out / "difficulty_not_size.csv", results)
    draw_gains(words.out / "difficulty_not_size.png", {r: results[r] for r in tails})


def demo(words: argparse.Namespace, opts: list[str]) -> None:
    """Trains and tests with cdb-video compare, on demo data of other sizes."""
    num_train = dict(zip(HARDEST_FIRST, sorted(NUM_TRAIN.values(), reverse=True), strict=True))
    root = (words.out / "demo_data").absolute()
    make_demo_data(root, num_train=num_train)
    losses = "cross_entropy,balanced_softmax,cdb_ce,cdb_logit"
    losses = losses if words.losses == LOSSES_COMPARED else words.losses
    command = ("--cfg", "configs/demo_cdb.yaml", "--losses", losses, "--seeds", str(words.seeds))
    own = ("DATA.EGTEA.ROOT", str(root), "OUTPUT_DIR", str(root.with_name("demo")))
    compare = [sys.executable, "-m", "cdb_video", "compare"]
    subprocess.run([*compare, *command, *own, *opts], cwd=ROOT, check=True)


def measure(data: dict[str, Features]) -> list[float]:
    """Error of each class, over three seeds, of cross entropy on 500 images of each."""
    found = [
        train("cross_entropy", *draw(data["train"], [500] * 10, 100 + s), data["test"], s)
        for s in range(3)
    ]
    return [1 - mean(one[f"recall_{c}"] for one in found) for c in range(10)]


def sizes_with(correlation: float, difficulty: list[float]) -> list[int]:
    """(K,) sizes of a long tail whose rank correlation with ``difficulty`` is near this one: the
    first such order of classes that a seeded stream of orders has."""
    sizes = sizes_by_largest([LARGEST] * 10, profile_shares(10, "exponential", RATIO), 0)
    hardest_first = np.argsort(difficulty)[::-1]
    if abs(correlation) == 1:
        order = hardest_first if correlation > 0 else hardest_first[::-1]
    else:
        stream = np.random.default_rng(0)
        while True:
            order = stream.permutation(10)
            found = spearmanr(np.argsort(np.argsort(difficulty))[order], -np.arange(10)).statistic
            if abs(found - correlation) < 0.03:
                break
    result = np.empty(10, dtype=int)
    result[order] = sizes
    return result.tolist()


def run(
    data: dict[str, Features], sizes: list[int], losses: list[str], seeds: int, wrong: int | None
) -> Runs:
    """All losses with all seeds; ``wrong`` is the class whose labels are spoilt."""
    results: Runs = {loss: {} for loss in losses}
    for seed in range(seeds):
        training, validation = draw(data["train"], sizes, seed)
        if wrong is not None:
            training = spoilt(training, wrong, seed)
        for loss in losses:
            results[loss][seed] = train(loss, training, validation, data["test"], seed)
    return results


def spoilt(training: Features, wrong: int, seed: int) -> Features:
    """With WRONG of the labels of one class spread over the other classes."""
    stream, labels = np.random.default_rng(1000 + seed), training.labels.clone()
    rows = stream.permutation(np.flatnonzero(labels.numpy() == wrong))
    rows = rows[: int(WRONG * len(rows))]
    others = np.delete(np.arange(10), wrong)
    labels[torch.from_numpy(rows)] = torch.from_numpy(stream.choice(others, len(rows)))
    return Features(training.inputs, labels)


def show(name: str, sizes: list[int], runs: Runs) -> None:
    print(f"\n{name}: {sizes}\n", flush=True)
    print("\n".join(table(runs)), flush=True)


def write(path: Path, results: dict[str, Runs]) -> None:
    """One row a run."""
    rows = [
        [name, loss, seed, *scores.values()]
        for name, runs in results.items()
        for loss, of_seed in runs.items()
        for seed, scores in of_seed.items()
    ]
    columns = next(iter(next(iter(next(iter(results.values())).values())).values()))
    write_csv(path, [["set", "loss", "seed", *columns], *rows], for_spreadsheets=False)


def draw_gains(path: Path, results: dict[str, Runs]) -> None:
    """Gain of each loss over the first, in recall of the mean and of the worst class."""
    with drawn(path, dpi=150, figsize=(12, 4.2)) as figure:
        panels = figure.subplots(1, 2)
        losses = list(next(iter(results.values())))
        places = [float(name) for name in results]
        for axes, name in zip(panels, ("mean_class_recall", "worst_class_recall"), strict=True):
            for number, (loss, colour) in enumerate(zip(losses[1:], COLOURS, strict=False)):
                gains = []
                for runs in results.values():
                    own, first = (
                        {seed: scores[name] for seed, scores in runs[one].items()}
                        for one in (loss, losses[0])
                    )
                    gains.append(difference_over_seeds(first, own))
                centres = [100 * centre for centre, _ in gains]
                widths = [100 * (width or 0) for _, width in gains]
                # A little apart, so that intervals do not hide each other.
                axes.errorbar(
                    [place + 0.025 * (number - 3) for place in places],
                    centres,
                    widths,
                    marker="o",
                    markersize=4,
                    elinewidth=0.8,
                    color=colour,
                    label=re.sub("LOSS.DEFER_EPOCHS=.*", "deferred", loss),
                )
            axes.axhline(0, color="#444444", linewidth=0.8)
            axes.set_title(
                f"{name.replace('_', ' ')}, points above {losses[0]}", loc="left", fontsize=10
            )
            axes.set_xlabel("rank correlation of size and difficulty")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", linewidth=0.5, color="#dddddd")
        panels[1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


COLOURS = ("#9a9a9a", "#c97f2b", "#b5a642", "#b04a5a", "#7f9fc9", "#3f9f8f", "#1f3f6f")


if __name__ == "__main__":
    main()
