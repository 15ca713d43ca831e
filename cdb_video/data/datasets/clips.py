"""Your own clips: one CSV file for each split, with a path and a label in each row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdb_video.data.datasets.base import MAX_CLASSES, SPLITS, LabelledClips, no_validation
from cdb_video.data.datasets.list_options import ListOptions
from cdb_video.data.lists.clip_lists import ClipList, is_number, read_clip_list
from cdb_video.data.lists.lines import composed
from cdb_video.data.lists.records import RecordTable
from cdb_video.errors import ConfigError
from cdb_video.registry import DATASETS

NUM_SHOWN = 20
"""Of the classes, in messages."""


@DATASETS.register("clips")
class Clips(LabelledClips):
    """Clips named in CSV files with a header: ``path,label`` and optionally ``start,end``.

    Paths are relative to ROOT. A value with a comma stands in double quotes. ``start`` and ``end``
    (seconds or clock times, ``[start, end)``, empty for the beginning or the end of the file) make
    a clip of a part of a longer video. They count from the start of the file, as in players and
    ``ffmpeg -ss``, even if the sound begins before the pictures. ``data/lists/columns.py`` knows
    other names of these columns. Further columns are named and ignored. A path may also be that of
    an image, or of a folder of numbered images.

    Labels are names, or class numbers from 0 if all labels are whole numbers. A number that does
    not occur is a class without clips. The classes are those of all three files together, sorted
    by name. If CLASSES lists the classes, all labels are names, and the training list may be
    missing where nobody trains.
    """

    @dataclass(frozen=True)
    class Options(ListOptions):
        """Where the clips and their lists lie."""

        classes: tuple[str, ...] = ()
        """All class names, in the order of their numbers. A label that is not among them is an
        error. Empty takes the classes from the lists."""

        allow_outside: bool = False
        """Accept paths in the lists that lead out of ROOT, including absolute paths."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._must_hold(f"{options.train} and the clips")
        if len(set(options.classes)) < len(options.classes):
            raise ConfigError(f"CLASSES must name each class once, got {list(options.classes)}")
        self._lists = {split: self.root / getattr(options, split) for split in SPLITS}
        self._found = {
            split: self._read_list(path)
            # Without the training list, the classes would silently change.
            for split, path in self._lists.items()
            if path.is_file() or (split == "train" and not options.classes)
        }
        lists = [*self._found.values()]
        self.notes = [note for one in lists for note in one.notes]
        if options.classes:
            named = any(map(is_number, options.classes))
            labels = (label for one in lists for label in one.labels)
            self._numbered = not named and all(map(is_number, labels))
        else:
            self._numbered = _are_numbers(lists)
        self.class_names = list(options.classes) or self._find_classes(lists)
        if not self._numbered:
            self.class_names = [composed(name) for name in self.class_names]
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def _read_list(self, path: Path) -> ClipList:
        return read_clip_list(path, self.path_of("x")[:-1], self.path_of)

    def _find_classes(self, lists: list[ClipList]) -> list[str]:
        labels = {label for one in lists for label in one.labels}
        if not self._numbered:
            return sorted(labels)
        return [str(number) for number in range(max(map(int, labels)) + 1)]

    def _read(self, split: str) -> RecordTable:
        if split == "val" and not self._lists["val"].is_file():
            raise no_validation(self._lists["val"])
        if split not in self._found:
            self._found[split] = self._read_list(self._lists[split])
        one = self._found[split]
        labels = np.array([self._number(one, label) for label in one.labels], dtype=np.int64)
        return RecordTable(one.clips.paths, labels[one.clips.labels], one.clips.spans)

    def _number(self, one: ClipList, label: str) -> int:
        number = int(label) if self._numbered else self._label_of.get(label, -1)
        if not 0 <= number < len(self.class_names):
            allowed = ", ".join(self.class_names[:NUM_SHOWN])
            allowed += f" and {len(self.class_names) - NUM_SHOWN} more" * (
                len(self.class_names) > NUM_SHOWN
            )
            line = one.line_of(label)
            raise line.error(f"the label must be one of {allowed}, got {label!r}")
        return number


def _are_numbers(lists: list[ClipList]) -> bool:
    """Whether labels are class numbers, and not names.

    Raises:
        DataError: some labels are numbers and others are not.
    """
    labels = [(one, label) for one in lists for label in one.labels]
    number = next((pair for pair in labels if is_number(pair[1])), None)
    name = next((pair for pair in labels if not is_number(pair[1])), None)
    if number is None:
        return False
    if name is not None:
        line, other = (one.line_of(label) for one, label in (name, number))
        raise line.error(
            f"labels must all be class numbers from 0 or all be names, got {name[1]!r:.60} "
            f"here and {number[1]} in {other.path}:{other.number}; where numbers "
            "are names, list all in CLASSES"
        )
    for one, label in labels:
        if len(label) > 9 or int(label) >= MAX_CLASSES:
            raise one.line_of(label).error(f"a class number must be below {MAX_CLASSES}")
    return True
