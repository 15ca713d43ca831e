"""Lists with one line ``path label`` for each clip, as most video toolkits read them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdb_video.config.types import NonNegativeInt
from cdb_video.data.datasets.base import MAX_CLASSES, SPLITS, LabelledClips, no_validation
from cdb_video.data.datasets.class_files import read_class_names
from cdb_video.data.datasets.list_options import ListOptions
from cdb_video.data.lists.lines import Line, read_lines
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS


@DATASETS.register("list")
class PathLabelList(LabelledClips):
    """Clips named in lists with a line ``path label``, as PySlowFast, MMAction2 and others have.

    A path is a video, an image, or a folder of numbered images; it may contain blanks: the
    last word is the label. CLASS_NAMES gives the names of classes; without it they are numbers. The
    largest label in all lists says how many there are.
    """

    @dataclass(frozen=True)
    class Options(ListOptions):
        """Where the clips and their lists lie, and how lines look."""

        columns: Literal["path label", "path frames label"] = "path label"
        """Columns of a line. The number of frames, which MMAction2's lists of image folders have,
        is not used."""

        separator: str = ""
        """Text between two columns. Empty means any white space."""

        header: bool = False
        """Skip the first line because it is a header."""

        first_label: NonNegativeInt = 0
        """Number of the first class in the lists."""

        class_names: str = ""
        """File under ROOT with the class names: one name a line, 'number name', a JSON list or
        {name: number}. Empty calls classes by their numbers."""

        prefix: str = ""
        """Folder that is put before every path."""

        suffix: str = ""
        """Ending that replaces the one in the lists, or is added where there is none, such as .avi.
        Empty leaves paths as they are."""

        allow_outside: bool = False
        """Accept paths that lead out of ROOT, including absolute paths."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        self._must_hold(f"{options.train} and the clips")
        self._lists = {split: self.root / getattr(options, split) for split in SPLITS}
        self._found = {
            split: self._read_list(path)
            # Without the training list, the classes would silently change.
            for split, path in self._lists.items()
            if path.is_file() or split == "train"
        }
        if options.class_names:
            self.class_names = read_class_names(self.root / options.class_names)
        else:
            largest = max((r.label for found in self._found.values() for r in found), default=0)
            self.class_names = [str(number) for number in range(largest + 1)]

    def _read(self, split: str) -> list[Record]:
        records = self._found.get(split)
        if records is None and split == "val":
            raise no_validation(self._lists["val"])
        if records is None:
            records = self._read_list(self._lists[split])
        count, first = len(self.class_names), self.options.first_label
        wrong = next((number for number, r in enumerate(records) if r.label >= count), None)
        if wrong is not None:
            line = list(self._lines(self._lists[split]))[wrong]
            raise line.error(f"the label must be in [{first}, {first + count})")
        return records

    def _read_list(self, path: Path) -> list[Record]:
        if not path.is_file():
            raise DataError(f"no file {path}: it should have lines '{self.options.columns}'")
        return [self._record(line) for line in self._lines(path)]

    def _lines(self, path: Path) -> Iterator[Line]:
        lines = read_lines(path)
        if self.options.header:
            next(lines, None)
        return lines

    def _record(self, line: Line) -> Record:
        options = self.options
        count = len(options.columns.split())
        parts = line.text.rsplit(options.separator or None, count - 1)
        if len(parts) != count or not parts[0]:
            raise line.error(
                f"expected '{options.columns}' with SEPARATOR {options.separator or 'white space'}"
            )
        path, text = parts[0], parts[-1].strip()
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise line.error(f"the label must be a class number, got {text!r:.60}")
        label = int(text) - options.first_label
        if not 0 <= label < MAX_CLASSES:
            raise line.error(f"the label must be at least FIRST_LABEL {options.first_label}")
        if options.suffix:
            path = os.path.splitext(path)[0] + options.suffix
        try:
            return Record(self.path_of(os.path.join(options.prefix, path)), label)
        except ValueError as error:
            raise line.error(f"{error}; ALLOW_OUTSIDE true takes it") from None
