"""Wrong predictions: those of the worst classes, and the surest."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cdb_video.output.rows import ClassRow, TestRow
from cdb_video.report.film_strips import film_strip, link

MAX_WORST, CLIPS_OF_WORST, MAX_SUREST = 8, 4, 15
NONE = -1
"""In place of a class: the clip cannot be decoded."""


class Wrong(NamedTuple):
    """A clip with a wrong prediction."""

    row: TestRow
    true: str
    predicted: str
    strip: str
    """A picture as a ``data:`` address; may be empty."""
    href: str
    """Of the file; may be empty."""


class WorstClass(NamedTuple):
    """A class with a low recall."""

    name: str
    recall: float
    num_wrong: int
    num_clips: int
    wrong: list[Wrong]
    """The surest first."""


class Mistakes:
    """All wrong predictions, the surest first.

    Args:
        predictions: of a test.
        names: class id -> name.
        page: of the report, which links the clips.
        strips: whether to decode film strips.
    """

    def __init__(
        self,
        predictions: Iterable[TestRow],
        names: Mapping[int, str],
        page: Path,
        strips: bool = True,
    ) -> None:
        wrong = [row for row in predictions if row.predicted not in (row.label, NONE)]
        self._wrong = sorted(wrong, key=lambda row: -row.score)
        self._names, self._page, self._strips = names, page, strips

    def surest(self) -> list[Wrong]:
        """Those with the highest scores. Wrong labels show up here."""
        return [self._shown(row) for row in self._wrong[:MAX_SUREST]]

    def worst_classes(self, classes: Sequence[ClassRow]) -> list[WorstClass]:
        """The classes of the lowest recall that have wrong predictions."""
        there = [(row.recall, -row.n_test, row) for row in classes if row.recall is not None]
        found = []
        for recall, _, row in sorted(there, key=lambda one: one[:2])[:MAX_WORST]:
            mine = [wrong for wrong in self._wrong if wrong.label == row.class_id]
            if mine:
                shown = [self._shown(one) for one in mine[:CLIPS_OF_WORST]]
                found.append(WorstClass(row.name, recall, len(mine), row.n_test, shown))
        return found

    def _shown(self, row: TestRow) -> Wrong:
        true, predicted = (self._names.get(c, str(c)) for c in (row.label, row.predicted))
        strip = film_strip(row) if self._strips else ""
        return Wrong(row, true, predicted, strip, link(row, self._page))
