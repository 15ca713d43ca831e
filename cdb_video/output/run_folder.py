"""OUTPUT_DIR: the files of a run, their rows, and the lock.

No other module names a file in OUTPUT_DIR. Only files that this module names are deleted: a folder
may hold files of the user, too.
"""

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from cdb_video import distributed
from cdb_video.errors import ConfigError, DataError
from cdb_video.output.rows import BadClipRow, ClassRow, Confusion, DifficultyRow, TestRow
from cdb_video.system.csv_rows import header, open_csv, read_rows, without_apostrophe, write_csv
from cdb_video.system.files import remove_if_empty, replacing, replacing_folder, write_text
from cdb_video.system.lock import InUse, locked

FILES = {
    "": (
        "config.yaml",
        "log.jsonl",
        "difficulty.csv",
        "quarantine.jsonl",
        "report.html",
        "facts.jsonl",
        "lists.json",
        "bad_batch*.pt",
    ),
    "checkpoints": (f"epoch_{4 * '[0-9]'}.pt", f"epoch_{5 * '[0-9]'}.pt", "latest.pt", "best.pt"),
    "tensorboard": ("events.out.tfevents.*",),
    "test": ("metrics.json", "per_class.csv", "predictions.csv", "confusion.csv"),
    "features": ("train.safetensors", "val.safetensors", "test.safetensors"),
}
"""Folder -> what a run writes into it; beside each file there may be a ``.partial`` one."""


class RunFolder:
    """One OUTPUT_DIR. A missing file reads as empty."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.log = self.path / "log.jsonl"
        self.difficulty = self.path / "difficulty.csv"
        self.facts_file = self.path / "facts.jsonl"
        self.lists = self.path / "lists.json"
        self.quarantine = self.path / "quarantine.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.report = self.path / "report.html"
        self.latest = self.path / "checkpoints" / "latest.pt"
        self.best = self.path / "checkpoints" / "best.pt"
        self._test = self.path / "test"

    def of_epoch(self, epoch: int) -> Path:
        """The path of the checkpoint of an epoch."""
        return self.latest.with_name(f"epoch_{epoch:04d}.pt")

    def epoch_checkpoints(self) -> list[Path]:
        """The existing checkpoints of epochs, oldest first."""
        found = [p for p in self.latest.parent.glob("epoch_*.pt") if p.stem[6:].isdecimal()]
        return sorted(found, key=lambda p: int(p.stem[6:]))

    def bad_batch(self, rank: int) -> Path:
        """The path of the clips of a step whose loss is not finite."""
        return self.path / f"bad_batch{rank or ''}.pt"

    def features(self, split: str) -> Path:
        """The path of the features of a split."""
        return self.path / "features" / f"{split}.safetensors"

    def retrained(self, method: str) -> "RunFolder":
        """The run folder of a classifier that was retrained by ``method``."""
        return RunFolder(self.path / method)

    @contextmanager
    def locked(self, work: str) -> Iterator[None]:
        """Keeps every other run from the same ``work`` (train, test, retrain) in this folder.

        The main process holds the lock during a run. It disappears with the process, whatever ends
        it. A folder that was made for it and is still empty at the end is removed.

        Raises:
            ConfigError: another process holds it, or the folder cannot be written.
        """
        if not distributed.is_main():
            yield
            return
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        with ExitStack() as held:
            for folder in reversed(new):
                held.callback(remove_if_empty, folder)
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.path / f".{work}.lock"))
            except InUse as error:
                raise ConfigError(
                    f"OUTPUT_DIR must be used by one process at a time for {work}: {error}"
                ) from None
            except OSError as error:
                raise ConfigError(
                    f"OUTPUT_DIR must be a folder to write in, got {self.path}: {error.strerror}"
                ) from None
            yield

    def check_test_folder(self) -> None:
        """Raises ``ConfigError`` if ``test`` holds files that no test has written."""
        names = os.listdir(self._test) if self._test.is_dir() else []
        if strangers := sorted(set(names) - set(FILES["test"])):
            raise ConfigError(
                f"OUTPUT_DIR/test must hold the files of a test and nothing else, got {self._test} "
                f"with {', '.join(strangers[:3])}; choose another OUTPUT_DIR"
            )

    def clear(self, methods: Sequence[str] = ()) -> None:
        """Deletes an earlier run, if there is one, with its test and retrained classifiers.

        Args:
            methods: names of the retraining methods.
        """
        if not self.config.is_file():
            return
        for folder, patterns in FILES.items():
            for pattern in patterns:
                for name in (pattern, f"{pattern}.partial"):
                    for path in (self.path / folder).glob(name):
                        path.unlink()
            if folder:
                remove_if_empty(self.path / folder)
        for method in methods:
            self.retrained(method).clear()
            remove_if_empty(self.path / method)

    def append_record(self, kind: str, epoch: int, step: int, **numbers: Any) -> None:
        """Appends one object to ``log.jsonl``. A number that is not finite becomes null."""
        clean = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in numbers.items()
        }
        record = {"kind": kind, "epoch": epoch, "step": step, **clean}
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def append_facts(self, facts: dict[str, Any]) -> None:
        """Appends one object to ``facts.jsonl``: values that differ when a run is repeated."""
        with open(self.facts_file, "a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")

    def facts(self) -> list[dict[str, Any]]:
        """The objects in ``facts.jsonl``, without truncated lines."""
        found = []
        for line in _lines(self.facts_file):
            with suppress(ValueError):
                fact = json.loads(line)
                found += [fact] if isinstance(fact, dict) else []
        return found

    def records(self) -> tuple[list[dict[str, Any]], int]:
        """The objects in ``log.jsonl``, and the number of truncated lines."""
        records, num_bad = [], 0
        for line in filter(None, _lines(self.log)):
            try:
                record = json.loads(line)
            except ValueError:
                num_bad += 1
                continue
            if isinstance(record, dict):
                record.setdefault("step", 0)
                kinds = {"kind": str, "epoch": int, "step": int}
                if all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
                    records.append(record)
        return records, num_bad

    def append_difficulty(self, rows: Sequence[DifficultyRow]) -> None:
        """Appends to ``difficulty.csv``. The first rows bring the header."""
        first = [] if self.difficulty.exists() else [header(DifficultyRow)]
        write_csv(self.difficulty, [*first, *rows], append=True)

    def difficulties(self) -> list[DifficultyRow]:
        """The lines of ``difficulty.csv``."""
        return read_rows(self.difficulty, DifficultyRow)

    def append_bad_clips(self, rows: Iterable[BadClipRow]) -> None:
        """Appends the new clips of a split to ``quarantine.jsonl``."""
        known = {(row.path, row.start, row.end, row.split) for row in self.bad_clips()}
        new = [row for row in rows if (row.path, row.start, row.end, row.split) not in known]
        with open(self.quarantine, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row._asdict()) + "\n" for row in new)

    def bad_clips(self) -> list[BadClipRow]:
        """The lines of ``quarantine.jsonl``, without truncated ones."""
        rows = []
        for line in _lines(self.quarantine):
            with suppress(ValueError, TypeError):
                rows.append(BadClipRow(**json.loads(line)))
        return rows

    def keep_until(self, epoch: int, step: int) -> int:
        """Drops the lines of log and difficulties after a point of a run.

        Args:
            epoch: finished epochs.
            step: optimiser steps since the run began, with those of an unfinished epoch.

        Returns:
            the last remaining step.
        """
        kept = [
            record
            for record in self.records()[0]
            if record["epoch"] <= epoch
            or (record["kind"].startswith("train_") and record["step"] <= step)
        ]
        if self.log.exists():
            write_text(self.log, "".join(json.dumps(record) + "\n" for record in kept))
        if self.difficulty.exists():
            rows = read_rows(self.difficulty, DifficultyRow, skip_damaged=True)
            with replacing(self.difficulty) as partial:
                write_csv(
                    partial, [header(DifficultyRow), *(row for row in rows if row.epoch <= epoch)]
                )
        return max((record["step"] for record in kept), default=0)

    def write_test(
        self,
        metrics: dict[str, Any],
        per_class: Iterable[ClassRow],
        confusion: Sequence[Sequence[Any]],
        score_names: Sequence[str],
        predictions: Iterable[tuple[TestRow, Sequence[float]]],
    ) -> None:
        """Writes ``test``, completely or not at all. Replaces an earlier one.

        Args:
            confusion: header and rows.
            score_names: the columns of scores in ``predictions.csv``.
            predictions: each with its scores.

        Raises:
            ConfigError: as ``check_test_folder``.
        """
        self.check_test_folder()
        with replacing_folder(self._test) as folder:
            text = json.dumps(metrics, indent=2) + "\n"
            (folder / "metrics.json").write_text(text, encoding="utf-8")
            write_csv(folder / "per_class.csv", [header(ClassRow), *per_class])
            write_csv(folder / "confusion.csv", confusion)
            rows = ([*row, *scores] for row, scores in predictions)
            write_csv(folder / "predictions.csv", [[*header(TestRow), *score_names], *rows])

    def metrics(self) -> dict[str, Any] | None:
        """``test/metrics.json``, None before the test. Raises ``DataError`` if it is no object."""
        path = self._test / "metrics.json"
        if not path.is_file():
            return None
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}") from None
        if not isinstance(metrics, dict):
            raise DataError(f"{path} must hold a JSON object, got {type(metrics).__name__}")
        return metrics

    def per_class(self) -> list[ClassRow]:
        """The lines of ``test/per_class.csv``."""
        return read_rows(self._test / "per_class.csv", ClassRow)

    def predictions(self) -> list[TestRow]:
        """The lines of ``test/predictions.csv``, without the scores of all classes."""
        return read_rows(self._test / "predictions.csv", TestRow)

    def confusion(self) -> Confusion | None:
        """``test/confusion.csv``. Raises ``DataError`` if it is not square."""
        path = self._test / "confusion.csv"
        if not path.is_file():
            return None
        with open_csv(path) as file:
            first, *rows = list(csv.reader(file)) or [[]]
        names = [without_apostrophe(name) for name in first[1:]]
        try:
            counts = np.array([[int(cell) for cell in row[1:]] for row in rows], dtype=np.int64)
        except ValueError as error:
            raise DataError(f"{path} must hold integer counts: {error}") from None
        if not names or counts.shape != (len(names), len(names)):
            raise DataError(f"{path} must be square with {len(names)} names, got {counts.shape}")
        return Confusion(names, counts)


def _lines(path: Path) -> list[str]:
    """Reads a file that may be damaged."""
    return path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
