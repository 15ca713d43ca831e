"""Writes ``comparison.html``: compares runs that were tested on the same clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cdb_video.errors import DataError
from cdb_video.metrics.checks import IntArray
from cdb_video.metrics.intervals import Difference, Interval, bootstrap_intervals, paired_difference
from cdb_video.output.rows import ClassRow, TestRow
from cdb_video.output.run_folder import RunFolder
from cdb_video.report.film_strips import film_strip, link
from cdb_video.report.page import HEADLINES, render
from cdb_video.system.files import write_text

MAX_CLASSES, MAX_CLIPS = 10, 24


class Tested(NamedTuple):
    """One run."""

    name: str
    metrics: dict[str, Any]
    rows: list[TestRow]
    predicted: IntArray
    """(N,); -1 for a clip that could not be decoded."""
    recalls: dict[int, float]
    """Class id -> recall of its clips."""
    intervals: dict[str, Interval]


class Change(NamedTuple):
    """A class in two runs."""

    name: str
    n_train: int | None
    n_test: int
    before: float
    after: float


class Against(NamedTuple):
    """A run compared with the first."""

    name: str
    difference: Difference
    gains: list[Change]
    losses: list[Change]


class Disputed(NamedTuple):
    """A clip on which runs disagree."""

    row: TestRow
    true: str
    says: list[tuple[str, str, float, bool]]
    """Run, class, score, and whether that is right."""
    strip: str
    href: str


def write_comparison(page: Path, folders: Sequence[Path], *, strips: bool = True) -> Path:
    """Compares the first run with each other one, and returns ``page``.

    Args:
        folders: OUTPUT_DIRs of tested runs, at least two.

    Raises:
        DataError: one was not tested, or on other clips than the first.
    """
    if len(folders) < 2:
        raise DataError(f"at least two tested runs must be named, got {len(folders)}")
    classes = RunFolder(folders[0]).per_class()
    names = {row.class_id: row.name for row in classes}
    runs = [_read(folder, len(names)) for folder in folders]
    first = runs[0]
    key = [(row.path, row.start, row.end, row.label) for row in first.rows]
    for run in runs[1:]:
        if [(row.path, row.start, row.end, row.label) for row in run.rows] != key:
            raise DataError(f"{run.name} must be tested on the same clips as {first.name}")
    content = {
        "title": "Comparison of " + ", ".join(run.name for run in runs),
        "runs": runs,
        "headlines": [h for h in HEADLINES if any(h[1] in run.metrics for run in runs)],
        "against": [_against(first, run, classes) for run in runs[1:]],
        "disputed": _disputed(runs, names, page, strips),
    }
    write_text(page, render("versus.html", content))
    return page


def _read(folder: Path, num_classes: int) -> Tested:
    run = RunFolder(folder)
    metrics, rows = run.metrics(), run.predictions()
    if metrics is None or not rows:
        raise DataError(f"{folder} has no test/metrics.json: test the run first")
    target = np.array([row.label for row in rows])
    predicted = np.array([row.predicted for row in rows])
    if target.max() >= num_classes or predicted.max() >= num_classes:
        raise DataError(f"{folder} must have the {num_classes} classes of the first run")
    recalls = {int(c): float((predicted[target == c] == c).mean()) for c in np.unique(target)}
    intervals = bootstrap_intervals(target, predicted, num_classes)
    return Tested(str(folder), metrics, rows, predicted, recalls, intervals)


def _against(first: Tested, other: Tested, classes: Sequence[ClassRow]) -> Against:
    target = [row.label for row in first.rows]
    difference = paired_difference(target, first.predicted, other.predicted, len(classes))
    changes = [
        Change(row.name, row.n_train, row.n_test, first.recalls[c], other.recalls[c])
        for row in classes
        if (c := row.class_id) in first.recalls
    ]
    changes.sort(key=lambda one: one.before - one.after)
    gains = [one for one in changes[:MAX_CLASSES] if one.after > one.before]
    losses = [one for one in changes[::-1][:MAX_CLASSES] if one.after < one.before]
    return Against(other.name, difference, gains, losses)


def _disputed(
    runs: Sequence[Tested], names: dict[int, str], page: Path, strips: bool
) -> list[Disputed]:
    """Clips that only some runs recognise, the surest first."""
    predicted = np.stack([run.predicted for run in runs])
    scores = np.array([[row.score for row in run.rows] for run in runs])
    target = np.array([row.label for row in runs[0].rows])
    right = predicted == target
    differ = right.any(axis=0) & ~right.all(axis=0) & (predicted >= 0).all(axis=0)
    # The lower of the best right score and the best wrong score: both sides are sure.
    sure = np.minimum(
        np.where(right, scores, 0).max(axis=0), np.where(right, 0, scores).max(axis=0)
    )
    chosen = np.flatnonzero(differ)
    chosen = chosen[np.argsort(-sure[chosen], kind="stable")][:MAX_CLIPS]
    found = []
    for place in chosen.tolist():
        row = runs[0].rows[place]
        says = [
            (
                run.name,
                names.get(int(run.predicted[place]), "?"),
                run.rows[place].score,
                bool(run.predicted[place] == row.label),
            )
            for run in runs
        ]
        picture = film_strip(row) if strips else ""
        found.append(Disputed(row, names.get(row.label, "?"), says, picture, link(row, page)))
    return found
