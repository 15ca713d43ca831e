"""The log of a run: files in its folder, boards such as TensorBoard, the terminal."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from cdb_video import distributed
from cdb_video.difficulty import ClassRecall, ClassState
from cdb_video.engine.record import pictures
from cdb_video.engine.record.boards import Board, open_boards
from cdb_video.output.rows import DifficultyRow
from cdb_video.output.run_folder import RunFolder

MAX_CLASSES = 200
"""Of more, boards show no line each."""


def console() -> Console:
    """Standard error of the main process. Other processes write nothing."""
    return Console(
        stderr=True, quiet=not distributed.is_main(), soft_wrap=True, highlight=False, markup=False
    )


class _Time(TimeRemainingColumn):
    """The remaining time; at the end, the elapsed time."""

    def render(self, task: Task) -> Text:
        return Text("took " if task.finished else "ETA ") + super().render(task)


def progress_bar(screen: Console) -> Progress:
    """A progress bar with the remaining time. It is short on a narrow terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        _Time(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
        console=screen,
    )


class RunLog:
    """The records of a training run; only the main process writes.

    Args:
        folder: the run's.
        epoch: finished epochs.
        step: optimiser steps since the run began. Later lines, of an interrupted run, are
            dropped.
        loggers: names in ``BOARDS``.
        options: of the run, key -> value.
        screen: for warnings; by default a new one.
    """

    def __init__(
        self,
        folder: RunFolder,
        epoch: int = 0,
        step: int = 0,
        loggers: Sequence[str] = ("tensorboard",),
        options: Mapping[str, str] | None = None,
        screen: Console | None = None,
    ) -> None:
        self._enabled = distributed.is_main()
        self._screen = screen or console()
        self._folder, self._options = folder, options or {}
        self._boards: list[Board] = []
        if not self._enabled:
            return
        folder.path.mkdir(parents=True, exist_ok=True)
        last = folder.keep_until(epoch, step)
        name = folder.path.resolve().name
        self._boards = open_boards(loggers, folder.tensorboard, last, name, self._options)

    def write(self, kind: str, epoch: int, step: int, **numbers: Any) -> None:
        """Writes a line of ``log.jsonl`` and shows its numbers on the boards.

        Args:
            kind: train_step, train_epoch, val or test.
            epoch: from 1.
            step: optimiser steps since the run began.
        """
        if not self._enabled:
            return
        self._folder.append_record(kind, epoch, step, **numbers)
        self._show({f"{kind}/{k}": v for k, v in numbers.items() if _is_number(v)}, step)

    def facts(self, step: int, **facts: Any) -> None:
        """Writes a line of ``facts.jsonl``: values that differ when a run is repeated."""
        if self._enabled:
            self._folder.append_facts(facts)
            self._show({f"speed/{k}": v for k, v in facts.items() if isinstance(v, float)}, step)

    def write_difficulty(
        self,
        epoch: int,
        step: int,
        classes: Sequence[tuple[int, str]],
        state: ClassState,
        seen: ClassRecall,
        sizes: npt.NDArray[np.int64],
    ) -> None:
        """Writes the rows of one epoch in ``difficulty.csv``. The boards show a picture of all
        epochs: one row for each class, the largest at the top, bright where it is hard. They also
        show recall and weight of up to ``MAX_CLASSES`` classes.

        Args:
            classes: (K,) number and name of each.
            state: of the next epoch, from the results of this one.
            seen: of the validation; all 0 without validation.
            sizes: (K,) training clips of each class.
        """
        if not self._enabled:
            return
        rows = [
            DifficultyRow(
                epoch,
                number,
                name,
                int(seen.counts[c]),
                round(float(seen.recall[c]), 6) if seen.counts[c] > 0 else None,
                round(float(state.difficulty[c]), 6),
                round(float(state.weight[c]), 6),
                round(float(state.tau), 6),
            )
            for c, (number, name) in enumerate(classes)
        ]
        self._folder.append_difficulty(rows)
        if len(rows) <= MAX_CLASSES:
            recalls = {f"recall/{r.name}": r.recall for r in rows if r.recall is not None}
            self._show({**recalls, **{f"weight/{r.name}": r.weight for r in rows}}, step)
        self.picture("difficulty", step, partial(self._difficulties, sizes))

    def _difficulties(self, sizes: npt.NDArray[np.int64]) -> pictures.Picture:
        values = np.array([row.difficulty for row in self._folder.difficulties()])
        order = np.argsort(-sizes, kind="stable")
        return pictures.enlarged(values.reshape(-1, len(sizes)).T[order])

    def picture(self, name: str, step: int, make: Callable[[], pictures.Picture]) -> None:
        """Shows a picture on the boards. Without boards it is not drawn."""
        if self._boards:
            picture = make()
            self._tell(lambda board: board.image(name, picture, step))

    def close(self, scores: Mapping[str, float] | None = None) -> None:
        """Flushes everything to disk, with the results of a finished run."""
        self._tell(lambda board: board.close(self._options, scores or {}))

    def _show(self, numbers: Mapping[str, float], step: int) -> None:
        self._tell(lambda board: board.scalars(numbers, step))

    def _tell(self, what: Callable[[Board], None]) -> None:
        """Calls a board. One that fails, for example without its server, is no longer used."""
        for board in tuple(self._boards):
            try:
                what(board)
            except Exception as error:  # each client has its own errors
                self._boards.remove(board)
                name = type(board).__name__
                self._screen.print(
                    f"warning: {name} failed, and the run continues without it: {error}"
                )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
