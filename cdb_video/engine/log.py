"""What a run writes as it goes: ``log.jsonl``, ``difficulty.csv``, TensorBoard, terminal."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter

from cdb_video import distributed
from cdb_video.data.samplers.base import Sampler
from cdb_video.engine.files import replacing
from cdb_video.engine.parts import Clips
from cdb_video.losses.base import Loss

PIXELS = 8
"""Side of one value in TensorBoard's picture of difficulty."""
DIFFICULTY_FIELDS = ("epoch", "class", "name", "n_val", "recall", "difficulty", "weight", "tau")


def console() -> Console:
    """Standard error of the main process; the others write nowhere."""
    return Console(
        stderr=True, quiet=not distributed.is_main(), soft_wrap=True, highlight=False, markup=False
    )


def progress_bar(screen: Console) -> Progress:
    """A live bar with the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=screen,
    )


class RunLog:
    """The records of a training run; only the main process writes.

    Args:
        output_dir: the run's folder.
        epoch: finished epochs; records of later ones, left by a run that was cut off, go.
    """

    def __init__(self, output_dir: Path, epoch: int) -> None:
        self._enabled = distributed.is_main()
        self._log = output_dir / "log.jsonl"
        self._difficulty = output_dir / "difficulty.csv"
        if not self._enabled:
            return
        output_dir.mkdir(parents=True, exist_ok=True)
        step = self._keep_until(epoch)
        self._board = SummaryWriter(str(output_dir / "tensorboard"), purge_step=step + 1)

    def _keep_until(self, epoch: int) -> int:
        """Drops what was written after ``epoch``; returns the last step before."""
        last_step = 0
        if self._log.exists():
            kept = []
            for line in self._log.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:  # a line that a killed run did not finish
                    continue
                if record["epoch"] <= epoch:
                    kept.append(line)
                    last_step = max(last_step, record["step"])
            with replacing(self._log) as path:
                path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        if self._difficulty.exists():
            with open(self._difficulty, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file)][1:]
            complete = [row for row in rows if len(row) == len(DIFFICULTY_FIELDS)]
            with replacing(self._difficulty) as path, open(path, "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(DIFFICULTY_FIELDS)
                writer.writerows(row for row in complete if int(row[0]) <= epoch)
        return last_step

    def write(self, kind: str, epoch: int, step: int, **numbers: Any) -> None:
        """One line of ``log.jsonl``; its numbers also go to TensorBoard.

        Args:
            kind: train_step, train_epoch, val or test.
            epoch: from 1.
            step: optimiser steps since the run began.
        """
        if not self._enabled:
            return
        append_record(self._log, kind, epoch, step, **numbers)
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def write_difficulty(
        self,
        epoch: int,
        clips: Clips,
        loss: Loss,
        sampler: Sampler,
        recall: torch.Tensor,
        counts: torch.Tensor,
    ) -> None:
        """The rows of one epoch in ``difficulty.csv``: what loss or sampler made of its results.

        ``difficulty`` is the loss's, else the sampler's; where neither keeps one, 1 - ``recall``,
        and nothing is written without validation. ``weight`` is for the next epoch: what the loss
        of a class is multiplied with, or, where only the sampler goes by difficulty, how much
        likelier than the average class it is drawn. TensorBoard gets the difficulties so far as a
        picture: a row a class, the largest at the top, bright where it is hard.

        Args:
            recall: (K,) of the validation; counts: (K,) its clips, all 0 without validation.
        """
        classes = getattr(loss, "classes", None) or getattr(sampler, "classes", None)
        if not self._enabled or (classes is None and not counts.any()):
            return
        difficulty = 1 - recall if classes is None else classes.difficulty
        weights, tau = loss.weights_in(epoch + 1), loss.tau
        if classes is not None and not hasattr(loss, "classes"):
            weights, tau = classes.weights(), classes.tau()
        is_new = not self._difficulty.exists()
        with open(self._difficulty, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(DIFFICULTY_FIELDS)
            for c, name in enumerate(clips.class_names):
                seen = counts[c] > 0
                writer.writerow(
                    (
                        epoch,
                        c,
                        name,
                        int(counts[c]),
                        round(float(recall[c]), 6) if seen else "",
                        round(float(difficulty[c]), 6),
                        round(float(weights[c]), 6),
                        round(float(tau), 6),
                    )
                )
        picture = self._picture(clips.counts("train"))
        self._board.add_image("difficulty", picture, epoch, dataformats="HW")

    def _picture(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """``difficulty.csv`` as (K, validations), each value a square of ``PIXELS``."""
        with open(self._difficulty, newline="", encoding="utf-8") as file:
            values = [float(row["difficulty"]) for row in csv.DictReader(file)]
        picture = np.array(values).reshape(-1, len(sizes)).T[np.argsort(-sizes, kind="stable")]
        return np.kron(picture, np.ones((PIXELS, PIXELS)))

    def close(self) -> None:
        """Brings everything to disk."""
        if self._enabled:
            self._board.close()


def append_record(path: Path, kind: str, epoch: int, step: int, **numbers: Any) -> None:
    """Appends one JSON object to a ``log.jsonl``; a number that is not finite becomes null."""
    clean = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in numbers.items()
    }
    record = {"kind": kind, "epoch": epoch, "step": step, **clean}
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record, allow_nan=False) + "\n")
