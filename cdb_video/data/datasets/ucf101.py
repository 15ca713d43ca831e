"""UCF101 (Soomro, Zamir, Shah, 2012), as its archives unpack."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdb_video.config.types import PositiveInt
from cdb_video.data.datasets.base import LabelledClips, Origin
from cdb_video.data.datasets.class_files import in_order
from cdb_video.data.lists.lines import Line, read_lines
from cdb_video.data.lists.records import Record
from cdb_video.registry import DATASETS

LISTS = "ucfTrainTestlist"
CLIPS = "UCF-101"
NAME = re.compile(r"(?P<folder>[^/\\]+)[/\\](?P<clip>v_.+_g(?P<group>\d+)_c\d+)\.avi")


@DATASETS.register("ucf101")
class Ucf101(LabelledClips):
    """UCF101: 13,320 clips of 101 actions; the official lists, and the clips that they name.

    ``ROOT/UCF-101/<Class>/*.avi`` and ``ROOT/ucfTrainTestlist/{classInd,trainlist01,...}.txt`` as
    the two archives unpack. The clips of a group, ``g07`` in their names, are cut from one
    recording and nearly alike. So ``val`` takes whole groups of the training list.
    """

    @dataclass(frozen=True)
    class Options:
        """Where UCF101 lies."""

        root: str = "datasets/ucf101"
        """Folder that holds ``UCF-101`` and ``ucfTrainTestlist``."""

        split: Literal[1, 2, 3] = 1
        """Number of the official pair of training and test lists."""

        val_groups: tuple[PositiveInt, ...] = (23, 24, 25)
        """Groups of every class that are held out of training for validation. All three training
        lists have 22 to 25. An empty list trains on all clips, with TRAIN.EVAL_PERIOD 0."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        self._must_hold("what UCF101's two archives unpack to", LISTS, CLIPS)
        path = self.root / LISTS / "classInd.txt"
        self.class_names = in_order(path, dict(map(_name, read_lines(path))))
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def _read(self, split: str) -> list[Record]:
        official = "test" if split == "test" else "train"
        path = self.root / LISTS / f"{official}list{self.options.split:02}.txt"
        pairs = [self._record(line) for line in read_lines(path)]
        if split == "test":
            return [record for record, _ in pairs]
        held_out = split == "val"
        return [r for r, group in pairs if (group in self.options.val_groups) == held_out]

    def _record(self, line: Line) -> tuple[Record, int]:
        """A clip and its group. The class is that of its folder: test lists have no number."""
        name, *number = line.text.rsplit(None, 1)
        found = NAME.fullmatch(name)
        if found is None:
            raise line.error(
                "expected 'Class/v_Class_g01_c01.avi', with a number in training lists"
            )
        label = self._label_of.get(found["folder"])
        if label is None:
            raise line.error(f"{found['folder']} is not in classInd.txt")
        if number and number[0] != str(label + 1):
            raise line.error(f"{found['folder']} has the number {label + 1} in classInd.txt")
        try:
            path = self.path_of(f"{CLIPS}/{name}")
        except ValueError as error:
            raise line.error(str(error)) from None
        return Record(path, label), int(found["group"])

    def source(self, record: Record) -> Origin:
        """The recording that a group is cut from."""
        return Origin(re.sub(r"_c\d+$", "", Path(record.path).stem))


def _name(line: Line) -> tuple[str, int]:
    number, _, name = line.text.partition(" ")
    if not (number.isdecimal() and name.strip()):
        raise line.error("expected 'number Class' with numbers from 1")
    return name.strip(), int(number) - 1
