"""CIFAR-10-LT at the length of published recipes, several losses; goes on where it stopped.

python benchmarks/evidence.py [--gpu] [--ratios 100,10] [--seeds 3] [--losses ...] [--minutes 8]
    [--processes 1] [--depth 32] [--epochs 200] [--out FOLDER] [KEY VALUE ...]

The recipe is that of LDAM's code (Cao et al., NeurIPS 2019), but for 25 images of each class that
are kept for validation: batches of 128, SGD at 0.1, weight decay 2e-4, five epochs of warm-up, the
rate falls to a hundredth at 80 % and 90 % of the epochs. After --minutes all runs are asked to
save and stop, and the table shows those that are done: the same command with the same FOLDER, here
or on the next machine, goes on. Several processes share a GPU that small images do not fill.
"""

import argparse
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from frozen import MEASURES, table

from cdb_video.commands.compare import loss_words
from cdb_video.output.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
LOSSES = (
    "cross_entropy,balanced_softmax,cdb_ce:tau=dynamic,cdb_ce:tau=1:momentum=0.7,"
    "cdb_logit:prior=0,cdb_logit"
)
PUBLISHED = {
    "100": "LDAM-DRW 77.0 (Cao et al., NeurIPS 2019; best epoch on the test images)",
    "10": "cross entropy 86.4, LDAM-DRW 88.2 (the same)",
}
"""Ratio -> top-1 on the test, ResNet-32, which is the mean class recall of its equal classes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true", help="refuse to run without one")
    parser.add_argument("--ratios", default="100,10", help="largest class over smallest")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--losses", default=LOSSES, help="as for cdb-video compare")
    parser.add_argument("--minutes", type=float, default=0, help="then save and stop; 0: never")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--depth", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("output/evidence"))
    parser.add_argument("--data", default="datasets/cifar10", help="folder of CIFAR-10")
    words, opts = parser.parse_known_args()
    if words.gpu and not torch.cuda.is_available():
        sys.exit("error: --gpu needs a CUDA device")
    # Seeds come last, so that few of them have all losses.
    jobs = [
        (ratio, loss, seed)
        for seed in range(words.seeds)
        for ratio in words.ratios.split(",")
        for loss in words.losses.split(",")
    ]
    todo = [job for job in jobs if not (folder(words.out, *job) / "test/metrics.json").exists()]
    print(f"{len(jobs) - len(todo)} of {len(jobs)} runs are done", flush=True)
    Work(words.processes, 60 * words.minutes).do([chosen(*job, words, opts) for job in todo])
    for ratio in words.ratios.split(","):
        print(f"\nratio {ratio}, ResNet-{words.depth}, {words.epochs} epochs")
        print(f"published, ResNet-32, 200 epochs: {PUBLISHED.get(ratio, 'nothing known')}\n")
        rows: dict[str, dict[int, dict[str, float]]] = {}
        for of_ratio, loss, seed in jobs:
            found = scores(folder(words.out, of_ratio, loss, seed))
            if of_ratio == ratio and found:
                rows.setdefault(loss, {})[seed] = found
        print("\n".join(table(rows)) if rows else "no run is done yet")


def folder(out: Path, ratio: str, loss: str, seed: int) -> Path:
    """OUTPUT_DIR of a run."""
    return (out / f"r{ratio}" / loss.replace(":", ",") / f"seed_{seed}").absolute()


def scores(run: Path) -> dict[str, float]:
    """``MEASURES`` on the test, and as ``validation`` the mean class recall there that was best;
    nothing of a run that is not done."""
    metrics = RunFolder(run).metrics()
    if metrics is None:
        return {}
    records, _ = RunFolder(run).records()
    best = max(r["mean_class_recall"] for r in records if r["kind"] == "val")
    return {"validation": best, **{name: metrics[name] for name in MEASURES}}


def chosen(ratio: str, loss: str, seed: int, words: Any, opts: Sequence[str]) -> list[str]:
    """Arguments of the commands that train and test a run."""
    epochs = words.epochs
    return [
        *("--cfg", str(ROOT / "configs" / "images" / "cifar10_lt.yaml")),
        *("DATA.CIFAR10.ROOT", words.data, "DATA.CIFAR10.RATIO", ratio),
        *("DATA.CIFAR10.SELECTION", "random", "MODEL.RESNET_CIFAR.DEPTH", str(words.depth)),
        *("TRAIN.BATCH_SIZE", "128", "SOLVER.WEIGHT_DECAY", "2e-4", "SOLVER.WARMUP_EPOCHS", "5"),
        *("SOLVER.MAX_EPOCH", str(epochs), "SOLVER.LRS", "[1.0, 1e-2, 1e-4]"),
        *("SOLVER.STEPS", f"[0, {round(0.8 * epochs)}, {round(0.9 * epochs)}]"),
        *("TRAIN.KEEP_CHECKPOINTS", "1", *loss_words(loss), "RNG_SEED", str(seed)),
        *("OUTPUT_DIR", str(folder(words.out, ratio, loss, seed)), *opts),
    ]


class Work:
    """Trains and tests runs, some at a time, for some time.

    Args:
        processes: runs at a time.
        seconds: after which those that run are asked to save and stop; 0: never.
    """

    def __init__(self, processes: int, seconds: float) -> None:
        self.processes, self.seconds = processes, seconds
        self.running: set[subprocess.Popen[bytes]] = set()
        self.is_over = False

    def do(self, runs: Sequence[Sequence[str]]) -> None:
        """Returns when all are done or have stopped."""
        timer = threading.Timer(self.seconds, self.stop)
        if self.seconds:
            timer.start()
        with ThreadPoolExecutor(self.processes) as pool:
            list(pool.map(self._one, runs))
        timer.cancel()

    def stop(self) -> None:
        """Asks what runs to stop; the engine saves first."""
        self.is_over = True
        for process in list(self.running):
            process.terminate()

    def _one(self, arguments: Sequence[str]) -> None:
        for name in ("train", "test"):
            if self.is_over:
                return
            command = [sys.executable, "-m", "cdb_video", name, *arguments]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            self.running.add(process)
            code = process.wait()
            self.running.discard(process)
            if code:
                print(f"exit code {code}: {' '.join(arguments)}", flush=True)
                return


if __name__ == "__main__":
    main()
