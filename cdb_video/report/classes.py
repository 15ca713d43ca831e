"""The rows of the table of classes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from cdb_video.metrics.intervals import Interval, wilson
from cdb_video.output.rows import ClassRow, DifficultyRow

SPARK_POINTS = 40
SPARK_WIDTH, SPARK_HEIGHT = 84, 18


class ClassLine(NamedTuple):
    """One class. Unknown values are None."""

    row: ClassRow
    interval: Interval | None
    """Of its recall."""
    difficulty: float | None
    weight: float | None
    spark: Markup
    """Its validation recall over epochs; empty without any."""


def class_lines(
    classes: Sequence[ClassRow], difficulties: Sequence[DifficultyRow]
) -> list[ClassLine]:
    """One row for each of ``classes``, in their order."""
    by_class: dict[int, list[DifficultyRow]] = defaultdict(list)
    for one in sorted(difficulties, key=lambda row: row.epoch):
        by_class[one.class_id].append(one)
    lines = []
    for row in classes:
        mine = by_class[row.class_id]
        right = round((row.recall or 0) * row.n_test)
        recalls = [(one.epoch, one.recall) for one in mine if one.recall is not None]
        lines.append(
            ClassLine(
                row,
                wilson(right, row.n_test),
                mine[-1].difficulty if mine else None,
                mine[-1].weight if mine else None,
                sparkline(recalls),
            )
        )
    return lines


def sparkline(points: Sequence[tuple[int, float]]) -> Markup:
    """A line without axes, from 0 at the bottom to 1 at the top."""
    if not points:
        return Markup("")
    chosen = np.unique(np.linspace(0, len(points) - 1, SPARK_POINTS).round().astype(int))
    step = (SPARK_WIDTH - 4) / max(1, len(chosen) - 1)
    top = SPARK_HEIGHT - 2
    places = [
        f"{2 + place * step:.4g},{top - (top - 2) * points[number][1]:.3g}"
        for place, number in enumerate(chosen)
    ]
    text = f"{points[0][1]:.0%} after epoch {points[0][0]}, {points[-1][1]:.0%} after "
    last = places[-1].split(",")
    return Markup(
        f'<svg class="spark" width="{SPARK_WIDTH}" height="{SPARK_HEIGHT}" role="img">'
        f"<title>{text}{points[-1][0]}</title>"
        f'<polyline points="{" ".join(places)}"/>'
        f'<circle cx="{last[0]}" cy="{last[1]}" r="2"/></svg>'
    )
