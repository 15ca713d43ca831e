"""Data sets of image files that lists name, a line ``path label`` each."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from cdb_video.data.datasets.base import MAX_CLASSES, SPLITS, LabelledClips
from cdb_video.data.lists.lines import Line, read_lines
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError


class ImageLists(LabelledClips):
    """Base of the long-tailed benchmarks, which differ in their lists and where these come from.

    Paths are relative to the root. Labels are numbers from 0. The classes are those of the training
    list. A class has the name of the folder of its training images (``n01440764``). If not every
    class has its own folder, all classes have their numbers as names.
    """

    command: ClassVar[str]
    """The command that tells where to get it."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._lists = {split: getattr(options, split) for split in SPLITS}
        if not self.root.is_dir():
            lists = ", ".join(filter(None, self._lists.values()))
            raise self._missing(f"no folder {self.root}: it should hold {lists} and the images")
        self._train = self._read_list("train", MAX_CLASSES)
        if not self._train:
            raise DataError(f"{self.root / self._lists['train']} lists no images")
        self.class_names = _class_names(self._train)

    def _read(self, split: str) -> list[Record]:
        return self._train if split == "train" else self._read_list(split, len(self.class_names))

    def _read_list(self, split: str, num_classes: int) -> list[Record]:
        if not self._lists[split]:
            raise DataError(f"there is no {split} list: name one in {split.upper()}")
        path = self.root / self._lists[split]
        if not path.is_file():
            raise self._missing(f"no file {path}: it should have lines 'path label'")
        return [self._record(line, num_classes) for line in read_lines(path)]

    def _record(self, line: Line, num_classes: int) -> Record:
        path, _, label = line.text.rpartition(" ")
        if not path or not (label.isascii() and label.isdecimal()):
            raise line.error("expected 'path label' with a class number from 0")
        if int(label) >= num_classes:
            raise line.error(f"the label must be below {num_classes}, got {label}")
        try:
            return Record(self.path_of(path.rstrip()), int(label))
        except ValueError as error:
            raise line.error(str(error)) from None

    def _missing(self, what: str) -> DataError:
        return DataError(f"{what}; {self.command} says where it comes from")


def _class_names(records: Sequence[Record]) -> list[str]:
    folders: dict[int, set[str]] = {}
    for record in records:
        folders.setdefault(record.label, set()).add(os.path.dirname(record.path))
    names = [str(label) for label in range(max(folders) + 1)]
    folder_of = {label: min(several) for label, several in folders.items()}
    top = os.path.commonpath(folder_of.values())
    one_each = all(len(several) == 1 for several in folders.values())
    if one_each and len({*folder_of.values(), top}) == len(folders) + 1:
        for label, folder in folder_of.items():
            names[label] = os.path.relpath(folder, top)
    return names
