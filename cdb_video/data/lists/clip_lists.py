"""Lists of clips in CSV files, for all commands.

A list may have a million rows: many are read at once, and row by row only those among which one is
unusual.
"""

import csv
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.data.lists.columns import DELIMITERS, Columns, cell, delimiter_of, find_columns
from cdb_video.data.lists.lines import Line, composed, opened
from cdb_video.data.lists.records import Paths, RecordTable
from cdb_video.errors import DataError
from cdb_video.system.file_kinds import is_image

AT_ONCE = 512
"""Rows: so few that Python does not look through them all for garbage, which takes longer."""
UNUSUAL = ("\n/", "\n.", "/.", "//", "/\n", "\0", "\\")
"""In lines of paths, where one may not be the shortest way to say where a file is."""


@dataclass(frozen=True)
class ClipList:
    """What one list says."""

    path: Path
    """Of the list."""
    clips: RecordTable
    """Their labels are places in ``labels``."""
    labels: list[str]
    """Every label, in the order in which they come first; one that is empty in a list without."""
    columns: Columns

    @property
    def notes(self) -> list[str]:
        """What was not read, a line each."""
        unused = ", ".join(self.columns.unused)
        return [f"{self.path}: columns that are not used: {unused}"] if unused else []

    def line(self, row: int) -> Line:
        """Where the clip number ``row`` stands."""
        with opened(self.path) as file:
            lines = (
                (n, cells)
                for n, cells in _lines(self.path, file, _dialect(file))
                if any(map(str.strip, cells))
            )
            number, cells = next(itertools.islice(lines, row + 1, None))
            return Line(self.path, number, ",".join(cells))

    def line_of(self, label: str) -> Line:
        """Where ``label`` comes first."""
        return self.line(int(np.argmax(self.clips.labels == self.labels.index(label))))


class _Rows(NamedTuple):
    """Some rows of a list."""

    paths: list[str]
    labels: list[str]
    spans: npt.NDArray[np.float64]


def read_clip_list(
    path: Path, root: str, path_of: Callable[[str], str], labelled: bool = True
) -> ClipList:
    """Reads a CSV list with the columns path and label, and perhaps times (see ``columns``).

    Args:
        path: of the list.
        root: what ``path_of`` puts before a name that is as short as can be.
        path_of: the path of a clip by its name in the list; it raises ``ValueError`` for one that
            must not be.
        labelled: the list must have labels, and each clip once. Otherwise labels are not read, and
            names of files may have any bytes.

    Raises:
        DataError: with the line that is wrong.
    """
    if not path.is_file():
        raise DataError(f"no file {path}: it should be a CSV file with the header path,label")
    errors = "strict" if labelled else "surrogateescape"
    with opened(path, errors) as file:
        dialect = _dialect(file)
        header = next((cells for _, cells in _lines(path, file, dialect)), [])
    columns = find_columns(header, path, labelled, dialect[1])
    places: dict[str, int] = {}
    labels: list[npt.NDArray[np.int64]] = []
    spans: list[npt.NDArray[np.float64]] = []

    def chunks() -> Iterator[list[str]]:
        for rows in _chunks(path, root, path_of, columns, errors):
            ids = [places.setdefault(label, len(places)) for label in rows.labels]
            labels.append(np.array(ids, dtype=np.int64))
            spans.append(rows.spans)
            yield rows.paths

    paths = Paths(chunks())
    if not len(paths):
        raise DataError(f"{path} lists no clips")
    names = [composed(label) for label in places]
    distinct = {name: place for place, name in enumerate(dict.fromkeys(names))}
    place_of = np.array([distinct[name] for name in names])
    clips = RecordTable(paths, place_of[np.concatenate(labels)], np.concatenate(spans))
    found = ClipList(path, clips, [*distinct], columns)
    if labelled:
        _check_repeats(found)
    return found


def _chunks(
    path: Path, root: str, path_of: Callable[[str], str], columns: Columns, errors: str
) -> Iterator[_Rows]:
    with opened(path, errors) as file:
        lines = _lines(path, file, _dialect(file))
        next(lines)
        while chunk := list(itertools.islice(lines, AT_ONCE)):
            rows = _at_once([cells for _, cells in chunk], columns, root)
            yield _one_by_one(path, chunk, columns, path_of) if rows is None else rows


def _lines(
    path: Path, file: Iterator[str], dialect: tuple[list[str], str, int]
) -> Iterator[tuple[int, list[str]]]:
    """The rows from the header on, with the number of the line on which each ends."""
    first, delimiter, skipped = dialect
    reader = csv.reader(
        itertools.chain(first, file), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        for cells in reader:
            yield reader.line_num + skipped, cells
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num + skipped}: not CSV: {error}") from None


def _dialect(file: Iterator[str]) -> tuple[list[str], str, int]:
    """The first line that is not blank, the delimiter, and how many lines were left out before."""
    for number, line in enumerate(file):
        if line.lower().startswith("sep="):  # as Excel understands it
            return [], line[4:5], number + 1
        if line.strip("".join(DELIMITERS) + " \r\n"):
            return [line], delimiter_of(line), number
    return [], ",", 0


def _at_once(rows: list[list[str]], columns: Columns, root: str) -> _Rows | None:
    """All ``rows``, if there is nothing unusual about them."""
    if not columns.are_plain or len(set(map(len, rows))) > 1 or len(rows[0]) < columns.num_needed:
        return None
    cells = list(zip(*rows, strict=True))
    names = [*map(str.strip, cells[columns.path])]
    labels = [""] * len(rows)
    if columns.label is not None:
        labels = [*map(str.strip, cells[columns.label])]
    text = "\n" + "\n".join(names) + "\n"
    if any(sign in text for sign in UNUSUAL) or text.count("\n") > len(rows) + 1:
        return None
    spans = np.full((len(rows), 2), np.nan)
    try:
        for side, name in enumerate(("start", "end")):
            if name in columns.times:
                texts = cells[columns.times[name].place]
                spans[:, side] = [float(text) if text else np.nan for text in texts]
                if np.isnan(spans[:, side]).sum() > texts.count(""):
                    return None
    except ValueError:
        return None
    given = ~np.isnan(spans)
    start, end = np.where(given[:, 0], spans[:, 0], 0.0), spans[:, 1]
    wrong = (start < 0) | np.isinf(spans).any(axis=1) | (given[:, 1] & (end <= start))
    unlabelled = columns.label is not None and "" in labels
    if "" in names or unlabelled or wrong.any() or (given.any() and any(map(is_image, names))):
        return None
    return _Rows([root + name for name in names], labels, spans)


def _one_by_one(
    path: Path,
    rows: list[tuple[int, list[str]]],
    columns: Columns,
    path_of: Callable[[str], str],
) -> _Rows:
    """All ``rows`` but those that are empty; the first that is wrong is the error."""
    paths, labels, spans = [], [], []
    for number, cells in rows:
        if any(map(str.strip, cells)):
            line = Line(path, number, ",".join(cells))
            name = cell(cells, columns.path)
            label = "" if columns.label is None else cell(cells, columns.label)
            for what, text in (("path", name), ("label", label)):
                if not text and (what == "path" or columns.label is not None):
                    raise line.error(f"the {what} is missing")
            try:
                span = columns.span(cells)
                if is_image(name) and span != (None, None):
                    raise ValueError("an image has neither start nor end")
                paths.append(path_of(name))
            except ValueError as error:
                raise line.error(str(error)) from None
            labels.append(label)
            spans.append([math.nan if second is None else second for second in span])
    return _Rows(paths, labels, np.array(spans, dtype=np.float64).reshape(-1, 2))


def _check_repeats(found: ClipList) -> None:
    """Raises ``DataError`` where a clip is listed twice."""
    keys = found.clips.keys()
    _, firsts, counts = np.unique(keys, return_index=True, return_counts=True)
    if len(firsts) == len(keys):
        return
    seen: dict[tuple[str, float | None, float | None], int] = {}
    for row in np.flatnonzero(np.isin(keys, keys[firsts[counts > 1]])).tolist():
        record = found.clips[row]
        before = seen.setdefault((record.path, record.start, record.end), row)
        if before != row:
            number = found.line(before).number
            raise found.line(row).error(f"line {number} lists the same clip")


def is_number(text: str) -> bool:
    """Whether a label is a whole number from 0."""
    return text.isascii() and text.isdecimal()
