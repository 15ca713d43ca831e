"""Anyone's own clips: a CSV file a split with a path and a label in each row."""

import csv
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cdb_video.data.batch import Record
from cdb_video.data.datasets.base import SPLITS, LabelledClips, Line, composed, read_text
from cdb_video.data.decode import is_image
from cdb_video.errors import ConfigError, DataError
from cdb_video.registry import DATASETS

MAX_CLASSES = 100_000
"""More than any data set has: a larger number in the label column is something else."""


NUM_SHOWN = 20
"""Of the classes, in messages."""


class _Row(NamedTuple):
    path: str
    label: str
    start: float | None
    end: float | None
    line: Line


@DATASETS.register("clips")
class Clips(LabelledClips):
    """Clips named in CSV files with a header: ``path,label`` and optionally ``start,end``.

    Paths are relative to ROOT; a value with a comma stands in double quotes; other columns are
    ignored. ``start`` and ``end`` (seconds, ``[start, end)``, empty for the beginning or the end
    of the file) make a clip of a part of a longer video; they count from the start of the file, as
    in players and ``ffmpeg -ss``, also where the sound begins before the pictures. A path may also
    be that of an image.

    Labels are names, or class numbers from 0 if all labels are whole numbers; a number that does
    not occur is a class without clips. The classes are those of all three files together, names
    in alphabetical order, unless CLASSES lists them; then all labels are names.
    """

    @dataclass(frozen=True)
    class Options:
        """Where the clips and their lists lie."""

        root: str = "datasets/clips"
        """Folder that the paths in the lists, and the lists themselves, are relative to."""

        train: str = "train.csv"
        """The training list."""

        val: str = "val.csv"
        """The validation list."""

        test: str = "test.csv"
        """The test list; needed only for testing."""

        classes: tuple[str, ...] = ()
        """All class names, in the order of their numbers; a label that is not among them is then
        an error. Empty: take the classes from the lists."""

        allow_outside: bool = False
        """Take paths in the lists that lead out of ROOT, absolute ones among them."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not self.root.is_dir():
            raise DataError(f"no folder {self.root}: it should hold {options.train} and the clips")
        if len(set(options.classes)) < len(options.classes):
            raise ConfigError(f"CLASSES must name each class once, got {list(options.classes)}")
        self._lists = {split: self.root / getattr(options, split) for split in SPLITS}
        self._rows = {
            split: _read_rows(path)
            # Without the training list the classes would silently be other ones.
            for split, path in self._lists.items()
            if path.is_file() or split == "train"
        }
        rows = [row for split in self._rows.values() for row in split]
        if options.classes:
            named = any(map(_is_number, options.classes))
            self._numbered = not named and all(_is_number(row.label) for row in rows)
        else:
            self._numbered = _are_numbers(rows)
        self.class_names = list(options.classes) or self._find_classes(rows)
        if not self._numbered:
            self.class_names = [composed(name) for name in self.class_names]
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def _find_classes(self, rows: list[_Row]) -> list[str]:
        if not self._numbered:
            return sorted({row.label for row in rows})
        return [str(number) for number in range(max(int(row.label) for row in rows) + 1)]

    def _read(self, split: str) -> list[Record]:
        if split not in self._rows:
            self._rows[split] = _read_rows(self._lists[split])
        return [self._record(row) for row in self._rows[split]]

    def _record(self, row: _Row) -> Record:
        label = int(row.label) if self._numbered else self._label_of.get(row.label, -1)
        if not 0 <= label < len(self.class_names):
            allowed = ", ".join(self.class_names[:NUM_SHOWN])
            allowed += f" and {len(self.class_names) - NUM_SHOWN} more" * (
                len(self.class_names) > NUM_SHOWN
            )
            raise row.line.error(f"the label must be one of {allowed}, got {row.label!r}")
        try:
            return Record(self.path_of(row.path), label, row.start, row.end)
        except ValueError as error:
            raise row.line.error(str(error)) from None


def _read_rows(path: Path) -> list[_Row]:
    if not path.is_file():
        raise DataError(f"no file {path}: it should be a CSV file with the header path,label")
    reader = csv.reader(io.StringIO(read_text(path)), skipinitialspace=True, strict=True)
    rows: list[_Row] = []
    seen: dict[tuple[str, float | None, float | None], int] = {}
    try:
        columns = _columns(next(reader, []), path)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = _row(cells, columns, Line(path, reader.line_num, ",".join(cells)))
                key = (os.path.normpath(row.path), row.start, row.end)
                before = seen.setdefault(key, row.line.number)
                if before != row.line.number:
                    raise row.line.error(f"the clip is already in line {before}")
                rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not CSV: {error}") from None
    if not rows:
        raise DataError(f"{path} lists no clips")
    return rows


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
    if len(words) == 2 and _is_number(words[1]) and "," not in first:
        return (
            "; this is a list of PySlowFast or MMAction2, 'path number' without a header: put "
            "path,label above it and commas between the columns"
        )
    if os.path.splitext(first.split(",")[0])[1]:
        return "; the first line is a clip: put path,label above it"
    return ""


def _are_numbers(rows: list[_Row]) -> bool:
    """Whether labels are class numbers, and not names.

    Raises:
        DataError: some are and others not, so that one slip would number all classes anew.
    """
    number = next((row for row in rows if _is_number(row.label)), None)
    name = next((row for row in rows if not _is_number(row.label)), None)
    if number is None:
        return False
    if name is not None:
        raise name.line.error(
            f"labels must all be class numbers from 0 or all be names, got {name.label!r:.60} "
            f"here and {number.label} in {number.line.path}:{number.line.number}; where numbers "
            "are names, list all in CLASSES"
        )
    for row in rows:
        if len(row.label) > 9 or int(row.label) >= MAX_CLASSES:
            raise row.line.error(f"a class number must be below {MAX_CLASSES}")
    return True


def _row(cells: list[str], columns: dict[str, int], line: Line) -> _Row:
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
    try:
        return _Row(values["path"], composed(values["label"]), start, end, line)
    except ValueError as error:
        raise line.error(str(error)) from None


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


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
