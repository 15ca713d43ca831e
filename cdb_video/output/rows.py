"""The rows of the tables in a run folder."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class ClassRow(NamedTuple):
    """One line of ``test/per_class.csv``; fractions in [0, 1], None if unknown."""

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
    """One line of ``difficulty.csv``: one class after the validation of one epoch."""

    epoch: int
    class_id: int
    name: str
    n_val: int
    recall: float | None
    """None without validation clips."""
    difficulty: float
    weight: float
    """For the next epoch: on the loss of the class, or on the odds of drawing it."""
    tau: float | None


class TestRow(NamedTuple):
    """One line of ``test/predictions.csv``, followed by ``score_0 ... score_{K-1}``."""

    index: int  # type: ignore[assignment]  # the field hides tuple.index on purpose
    path: str
    start: float | None
    """In seconds; None is the beginning of the file."""
    end: float | None
    """In seconds; None is the end of the file."""
    label: int
    predicted: int
    """-1 for a clip that cannot be decoded."""
    score: float


class Confusion(NamedTuple):
    """``test/confusion.csv``: class names ``(K,)`` and counts ``(K, K)``, rows = true class."""

    names: list[str]
    counts: npt.NDArray[np.int64]


class BadClipRow(NamedTuple):
    """One line of ``quarantine.jsonl``: a clip that cannot be decoded."""

    path: str
    start: float | None
    end: float | None
    class_name: str
    split: str
    stage: str
    """What went on: train, validate or test."""
    epoch: int
    """In which epoch it was found first; of a test, those the model was trained for."""
    decoder: str
    reason: str
