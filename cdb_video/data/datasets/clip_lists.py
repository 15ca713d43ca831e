"""CSV lists of clips, of a million rows, too: many rows at once, and row by row only those among
which one is unusual."""

import csv
import itertools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.data.datasets.base import Line, composed, opened
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
    """Every label, in the order in which they come first."""

    def line(self, row: int) -> Line:
        """Where the clip number ``row`` stands."""
        with opened(self.path) as file:
            lines = (
                (n, cells) for n, cells in _lines(self.path, file) if any(map(str.strip, cells))
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


def read_clip_list(path: Path, root: str, path_of: Callable[[str], str]) -> ClipList:
    """Reads a CSV list with the columns path and label, and perhaps start and end.

    Args:
        path: of the list.
        root: what ``path_of`` puts before a name that is as short as can be.
        path_of: the path of a clip by its name in the list; it raises ``ValueError`` for one that
            must not be.

    Raises:
        DataError: with the line that is wrong.
    """
    if not path.is_file():
        raise DataError(f"no file {path}: it should be a CSV file with the header path,label")
    places: dict[str, int] = {}
    labels: list[npt.NDArray[np.int64]] = []
    spans: list[npt.NDArray[np.float64]] = []

    def chunks() -> Iterator[list[str]]:
        for rows in _chunks(path, root, path_of):
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
    found = ClipList(path, clips, [*distinct])
    _check_repeats(found)
    return found


def _chunks(path: Path, root: str, path_of: Callable[[str], str]) -> Iterator[_Rows]:
    with opened(path) as file:
        lines = _lines(path, file)
        columns = _columns(next((cells for _, cells in lines), []), path)
        while chunk := list(itertools.islice(lines, AT_ONCE)):
            rows = _at_once([cells for _, cells in chunk], columns, root)
            yield _one_by_one(path, chunk, columns, path_of) if rows is None else rows


def _lines(path: Path, file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of the line on which each ends."""
    reader = csv.reader(file, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _at_once(rows: list[list[str]], columns: dict[str, int], root: str) -> _Rows | None:
    """All ``rows``, if there is nothing unusual about them."""
    if len(set(map(len, rows))) > 1 or len(rows[0]) <= max(columns.values()):
        return None
    cells = list(zip(*rows, strict=True))
    names, labels = ([*map(str.strip, cells[columns[name]])] for name in ("path", "label"))
    text = "\n" + "\n".join(names) + "\n"
    if any(sign in text for sign in UNUSUAL) or text.count("\n") > len(rows) + 1:
        return None
    spans = np.full((len(rows), 2), np.nan)
    try:
        for side, name in enumerate(("start", "end")):
            if name in columns:
                texts = cells[columns[name]]
                spans[:, side] = [float(text) if text else np.nan for text in texts]
                if np.isnan(spans[:, side]).sum() > texts.count(""):
                    return None
    except ValueError:
        return None
    given = ~np.isnan(spans)
    start, end = np.where(given[:, 0], spans[:, 0], 0.0), spans[:, 1]
    wrong = (start < 0) | np.isinf(spans).any(axis=1) | (given[:, 1] & (end <= start))
    if "" in names or "" in labels or wrong.any() or (given.any() and any(map(is_image, names))):
        return None
    return _Rows([root + name for name in names], labels, spans)


def _one_by_one(
    path: Path,
    rows: list[tuple[int, list[str]]],
    columns: dict[str, int],
    path_of: Callable[[str], str],
) -> _Rows:
    """All ``rows`` but those that are empty; the first that is wrong is the error."""
    paths, labels, spans = [], [], []
    for number, cells in rows:
        if any(map(str.strip, cells)):
            line = Line(path, number, ",".join(cells))
            name, label, *span = _row(cells, columns, line)
            try:
                paths.append(path_of(name))
            except ValueError as error:
                raise line.error(str(error)) from None
            labels.append(label)
            spans.append([math.nan if second is None else second for second in span])
    return _Rows(paths, labels, np.array(spans, dtype=np.float64).reshape(-1, 2))


def _row(
    cells: list[str], columns: dict[str, int], line: Line
) -> tuple[str, str, float | None, float | None]:
    values = {
        name: cells[place].strip() if place < len(cells) else "" for name, place in columns.items()
    }
    for name in ("path", "label"):
        if not values[name]:
            raise line.error(f"the {name} is missing")
    start, end = (_seconds(values.get(name, ""), name, line) for name in ("start", "end"))
    if is_image(values["path"]) and (start, end) != (None, None):
        raise line.error("an image has neither start nor end")
    if end is not None and end <= (start or 0.0):
        raise line.error(f"end must be above start, got [{start or 0:g}, {end:g})")
    return values["path"], values["label"], start, end


def _columns(header: list[str], path: Path) -> dict[str, int]:
    """Where each column that matters stands."""
    names = [name.strip().lower() for name in header]
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        line = ",".join(header)
        raise DataError(
            f"{path}:1: the header must name path and label, "
            f"{' and '.join(missing)} missing in {line!r:.200}{_hint(line)}"
        )
    wanted = [name for name in names if name in ("path", "label", "start", "end")]
    for name in wanted:
        if wanted.count(name) > 1:
            raise DataError(f"{path}:1: the header names {name} more than once")
    return {name: names.index(name) for name in wanted}


def _hint(first: str) -> str:
    """What a list without our header probably is."""
    lower = first.lower()
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if sign in first:
            return f"; this list has {name} between its columns, where commas are needed"
    if "youtube_id" in lower:
        return (
            "; this is a list of Kinetics: write path for each clip, as in "
            "<label>/<youtube_id>_<time_start>_<time_end>.mp4, and label"
        )
    words = first.rsplit(maxsplit=1)
    if len(words) == 2 and is_number(words[1]) and "," not in first:
        return (
            "; this is a list of PySlowFast or MMAction2, 'path number' without a header: put "
            "path,label above it and commas between the columns"
        )
    if os.path.splitext(first.split(",")[0])[1]:
        return "; the first line is a clip: put path,label above it"
    return ""


def _seconds(text: str, name: str, line: Line) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise line.error(f"{name} must be seconds >= 0 or empty, got {text!r}")
    return seconds


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
