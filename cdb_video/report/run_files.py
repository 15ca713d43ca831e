"""Reads what a run leaves in its OUTPUT_DIR; a file that is not there yet reads as empty."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from cdb_video.errors import DataError

Row = TypeVar("Row")


class ClassRow(NamedTuple):
    """One row of ``test/per_class.csv``; fractions in [0, 1], None where the file has nothing."""

    class_id: int
    name: str
    n_train: int | None
    n_test: int
    n_predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    group: str


class DifficultyRow(NamedTuple):
    """One row of ``difficulty.csv``: one class after the validation of one epoch."""

    epoch: int
    class_id: int
    name: str
    difficulty: float
    weight: float
    tau: float | None


class PredictionRow(NamedTuple):
    """One row of ``test/predictions.csv``; start and end in seconds, as text, maybe empty."""

    path: str
    start: str
    end: str
    label: int
    predicted: int
    score: float


class Confusion(NamedTuple):
    """``test/confusion.csv``: class names ``(K,)`` and counts ``(K, K)``, rows = true class."""

    names: list[str]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunFiles:
    """The contents of one OUTPUT_DIR.

    ``train`` and ``val`` map an epoch (from 1) to its last record in ``log.jsonl``, so that an
    epoch which was trained again after an interruption counts once. ``bad_log_lines`` counts
    lines cut short by an interruption.
    """

    folder: Path
    config: str
    train: dict[int, dict[str, Any]]
    val: dict[int, dict[str, Any]]
    bad_log_lines: int
    difficulty: list[DifficultyRow]
    metrics: dict[str, Any] | None
    per_class: list[ClassRow]
    predictions: list[PredictionRow]
    confusion: Confusion | None


def read_run(folder: Path) -> RunFiles:
    """Everything the run in ``folder`` has left so far.

    Raises:
        DataError: if the folder holds no run, or a file in it cannot be read as what it is.
    """
    if not (folder / "log.jsonl").is_file() and not (folder / "test" / "metrics.json").is_file():
        raise DataError(f"{folder} holds no run: neither log.jsonl nor test/metrics.json is there")
    config = folder / "config.yaml"
    records, bad_log_lines = _log_records(folder / "log.jsonl")
    difficulty = _csv_rows(folder / "difficulty.csv", _difficulty_row)
    return RunFiles(
        folder=folder,
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
        train={r["epoch"]: r for r in records if r.get("kind") == "train_epoch"},
        val={r["epoch"]: r for r in records if r.get("kind") == "val"},
        bad_log_lines=bad_log_lines,
        difficulty=list({(row.epoch, row.class_id): row for row in difficulty}.values()),
        metrics=read_metrics(folder),
        per_class=_csv_rows(folder / "test" / "per_class.csv", _class_row),
        predictions=_csv_rows(folder / "test" / "predictions.csv", _prediction_row),
        confusion=_confusion(folder / "test" / "confusion.csv"),
    )


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """``test/metrics.json``, or None before the test. Raises ``DataError`` if it is no object."""
    path = folder / "test" / "metrics.json"
    if not path.is_file():
        return None
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(metrics, dict):
        raise DataError(f"{path} must hold a JSON object, got {type(metrics).__name__}")
    return metrics


def _log_records(path: Path) -> tuple[list[dict[str, Any]], int]:
    if not path.is_file():
        return [], 0
    records, bad_lines = [], 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            bad_lines += 1
            continue
        if isinstance(record, dict) and isinstance(record.get("epoch"), int):
            records.append(record)
    return records, bad_lines


def _csv_rows(path: Path, read: Callable[[dict[str, str]], Row]) -> list[Row]:
    if not path.is_file():
        return []
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for raw in reader:
            try:
                rows.append(read(raw))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}, line {reader.line_num}: unreadable, {error!r}") from None
    return rows


def _class_row(raw: dict[str, str]) -> ClassRow:
    return ClassRow(
        class_id=int(raw["class"]),
        name=raw["name"],
        n_train=int(raw["n_train"]) if raw["n_train"] else None,
        n_test=int(raw["n_test"]),
        n_predicted=int(raw["n_predicted"]),
        precision=_number(raw["precision"]),
        recall=_number(raw["recall"]),
        f1=_number(raw["f1"]),
        group=raw["group"],
    )


def _difficulty_row(raw: dict[str, str]) -> DifficultyRow:
    return DifficultyRow(
        epoch=int(raw["epoch"]),
        class_id=int(raw["class"]),
        name=raw["name"],
        difficulty=float(raw["difficulty"]),
        weight=float(raw["weight"]),
        tau=_number(raw["tau"]),
    )


def _prediction_row(raw: dict[str, str]) -> PredictionRow:
    return PredictionRow(
        path=raw["path"],
        start=raw["start"],
        end=raw["end"],
        label=int(raw["label"]),
        predicted=int(raw["predicted"]),
        score=float(raw["score"]),
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _confusion(path: Path) -> Confusion | None:
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    names = header[1:]
    try:
        counts = np.array([[int(cell) for cell in row[1:]] for row in rows], dtype=np.int64)
    except ValueError as error:
        raise DataError(f"{path} must hold integer counts: {error}") from None
    if not names or counts.shape != (len(names), len(names)):
        raise DataError(f"{path} must be square with {len(names)} names, got {counts.shape}")
    return Confusion(names, counts)
