"""What a run tells as it goes: the lines of its folder, TensorBoard, terminal."""

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

from cdb_video import distributed
from cdb_video.difficulty import ClassState
from cdb_video.run_folder import RunFolder
from cdb_video.run_rows import DifficultyRow

PIXELS = 8
"""Side of one value in TensorBoard's picture of difficulty."""


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
        folder: the run's.
        epoch: finished epochs.
        step: optimiser steps since the run began; what was written later, by a run that was cut
            off, goes.
    """

    def __init__(self, folder: RunFolder, epoch: int = 0, step: int = 0) -> None:
        self._enabled = distributed.is_main()
        self._folder = folder
        if not self._enabled:
            return
        from torch.utils.tensorboard import SummaryWriter  # slow to import, so not by --help

        folder.path.mkdir(parents=True, exist_ok=True)
        last = folder.keep_until(epoch, step)
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=last + 1)

    def write(self, kind: str, epoch: int, step: int, **numbers: Any) -> None:
        """One line of ``log.jsonl``; its numbers also go to TensorBoard.

        Args:
            kind: train_step, train_epoch, val or test.
            epoch: from 1.
            step: optimiser steps since the run began.
        """
        if not self._enabled:
            return
        self._folder.append_record(kind, epoch, step, **numbers)
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def write_difficulty(
        self,
        epoch: int,
        class_names: list[str],
        state: ClassState,
        recall: torch.Tensor,
        counts: torch.Tensor,
        sizes: npt.NDArray[np.int64],
    ) -> None:
        """The rows of one epoch in ``difficulty.csv``, and in TensorBoard a picture of all so far:
        a row a class, the largest at the top, bright where it is hard.

        Args:
            state: for the next epoch, made of the results of this one.
            recall: (K,) of the validation; counts: (K,) its clips, all 0 without validation.
            sizes: (K,) training clips of each class.
        """
        if not self._enabled:
            return
        rows = [
            DifficultyRow(
                epoch,
                c,
                name,
                int(counts[c]),
                round(float(recall[c]), 6) if counts[c] > 0 else None,
                round(float(state.difficulty[c]), 6),
                round(float(state.weight[c]), 6),
                round(float(state.tau), 6),
            )
            for c, name in enumerate(class_names)
        ]
        self._folder.append_difficulty(rows)
        self._board.add_image("difficulty", self._picture(sizes), epoch, dataformats="HW")

    def _picture(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """``difficulty.csv`` as (K, validations), each value a square of ``PIXELS``."""
        values = np.array([row.difficulty for row in self._folder.difficulties()])
        picture = values.reshape(-1, len(sizes)).T[np.argsort(-sizes, kind="stable")]
        return np.kron(picture, np.ones((PIXELS, PIXELS)))

    def close(self) -> None:
        """Brings everything to disk."""
        if self._enabled:
            self._board.close()
