"""The layout of the confusion matrix on the page, and the worst confusions."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cdb_video.output.rows import Confusion

# All lengths are CSS pixels. The matrix fills the width of the page. Cells have a smallest size, so
# that labels fit; a matrix with very many classes scrolls.
MATRIX_WIDTH = 900
SMALLEST_CELL, LARGEST_CELL = 9, 56
SMALLEST_CELL_WITH_NUMBER = 24
LONGEST_LABEL = 26
MOST_LABELLED = 150
"""Classes; of more the matrix is a picture."""
RIGHT_BGR, WRONG_BGR = (197, 133, 72), (77, 104, 218)
"""Between the colours of the page in light and in dark."""


@dataclass(frozen=True)
class Cell:
    """A cell that is not zero; ``share`` is its part of its row, in (0, 1]."""

    column: int
    row: int
    share: float
    tooltip: str


@dataclass(frozen=True)
class Matrix:
    """Everything the page needs to draw the matrix; ``labels`` and ``totals`` are ``(K,)``."""

    cell: int
    font: float
    left: int
    top: int
    width: int
    height: int
    tilt: int
    labels: list[str]
    names: list[str]
    totals: list[int]
    cells: list[Cell]
    with_numbers: bool


@dataclass(frozen=True)
class Mistake:
    """``count`` samples of class ``true``, the fraction ``share``, predicted as another class."""

    true: str
    predicted: str
    count: int
    share: float


def lay_out(confusion: Confusion, order: Sequence[int]) -> Matrix:
    """The row-normalised matrix with its classes, rows and columns alike, in ``order``."""
    counts = confusion.counts[np.ix_(order, order)]
    names = [confusion.names[c] for c in order]
    totals = counts.sum(axis=1)
    size = len(names)
    cell = min(max(MATRIX_WIDTH // size, SMALLEST_CELL), LARGEST_CELL)
    font = min(12.0, cell * 0.9)
    labels = [n if len(n) <= LONGEST_LABEL else n[: LONGEST_LABEL - 1] + "…" for n in names]
    label_length = round(max(map(len, labels)) * font * 0.56) + 10
    tilt = -45 if cell >= 18 else -90
    slope = 0.75 if tilt == -45 else 1.0
    overhang = label_length * slope if tilt == -45 else 0.0
    top = round(label_length * slope) + 8
    cells = [
        Cell(
            int(column),
            int(row),
            float(counts[row, column] / totals[row]),
            f"{names[row]}: {counts[row, column]} of {totals[row]} predicted as {names[column]} "
            f"({counts[row, column] / totals[row]:.0%})",
        )
        for row, column in np.argwhere(counts)
    ]
    return Matrix(
        cell=cell,
        font=font,
        left=label_length,
        top=top,
        width=round(label_length + size * cell + max(overhang, 44)),
        height=top + size * cell + 4,
        tilt=tilt,
        labels=labels,
        names=names,
        totals=totals.tolist(),
        cells=cells,
        with_numbers=cell >= SMALLEST_CELL_WITH_NUMBER,
    )


def as_picture(confusion: Confusion, order: Sequence[int]) -> str:
    """The row-normalised matrix as a PNG with one pixel for each cell, for very many classes.

    Returns:
        a ``data:`` address. Zeros are transparent, so that it suits any background.
    """
    counts = confusion.counts[np.ix_(order, order)]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = np.empty((*counts.shape, 4), np.uint8)
    picture[..., :3] = WRONG_BGR
    picture[np.arange(len(order)), np.arange(len(order)), :3] = RIGHT_BGR
    picture[..., 3] = np.where(counts, 60 + 195 * share, 0).round()
    _, png = cv2.imencode(".png", picture)
    return f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}"


def worst_confusions(confusion: Confusion, limit: int) -> list[Mistake]:
    """The most frequent wrong pairs of classes; among equals the larger share first."""
    counts, totals = confusion.counts, confusion.counts.sum(axis=1)
    mistakes = [
        Mistake(
            confusion.names[true],
            confusion.names[predicted],
            int(counts[true, predicted]),
            float(counts[true, predicted] / totals[true]),
        )
        for true, predicted in np.argwhere(counts)
        if true != predicted
    ]
    return sorted(mistakes, key=lambda m: (-m.count, -m.share))[:limit]
