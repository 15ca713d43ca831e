"""EPIC-KITCHENS-100 (Damen et al., IJCV 2022): actions in long videos, as a verb and a noun."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from cdb_video.data.datasets.base import LabelledClips, Origin
from cdb_video.data.datasets.csv_lists import csv_rows
from cdb_video.data.datasets.list_options import TestedOnValidation
from cdb_video.data.lists.lines import Line, composed, opened
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.outputs import Output
from cdb_video.registry import DATASETS

COLUMNS = (
    "participant_id",
    "video_id",
    "start_timestamp",
    "stop_timestamp",
    "start_frame",
    "stop_frame",
    "verb_class",
    "noun_class",
)
TIME = re.compile(r"(\d+):(\d{2}):(\d{2}(?:\.\d*)?)")
VIDEO = re.compile(r"P\d{2}_\d{2,3}")


NOMINAL = 60.0
"""What DATA.IMAGE_FPS must be for the released JPEGs, of which most are 60 a second; their numbers
over it are moments of the folder, not of the video."""


class EpicRow(NamedTuple):
    """An action as the list has it."""

    line: Line
    participant: str
    video: str
    start: float
    """In seconds."""
    end: float
    verb: int
    noun: int


@DATASETS.register("epic_kitchens")
class EpicKitchens(LabelledClips):
    """EPIC-KITCHENS-100: 97 verbs and 300 nouns, actions of 0.5 to 147 s in 700 long videos.

    A clip lies between the timestamps of its row. The ``start_frame`` of a row counts the released
    JPEGs: 60 a second in old videos, 50 in those with three digits, whatever the rate of the video
    is. So it is used only with FRAMES. The label is the first noun of a row. With MODEL.HEADS
    parts, the outputs of an action are its verb and its noun.
    """

    @dataclass(frozen=True)
    class Options(TestedOnValidation):
        """Where EPIC-KITCHENS-100 lies, and which task it poses."""

        root: str = "datasets/epic_kitchens_100"
        train: str = "annotations/EPIC_100_train.csv"
        test: str = "annotations/EPIC_100_validation.csv"
        """The list to test on. The official test list has no labels."""

        verbs: str = "annotations/EPIC_100_verb_classes.csv"
        """File with the names of the verbs, in the columns id and key."""

        nouns: str = "annotations/EPIC_100_noun_classes.csv"
        """File with the names of the nouns. The file of version 2 does not fit: it has 305
        nouns."""

        label: Literal["verb", "noun", "action"] = "verb"
        """What is recognised: the verb (97 classes), the first noun (300), or the pairs of both
        that the lists contain."""

        path: str = "{participant}/videos/{video}.MP4"
        """Path of a video under ROOT, or of its folder of images with FRAMES."""

        frames: bool = False
        """Read folders of the released JPEGs (``frame_0000000001.jpg``) instead of videos.
        start_frame and stop_frame count these images. Needs DATA.IMAGE_FPS 60."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        self._must_hold(f"{options.train} and the videos")
        self.verbs, self.nouns = (
            self._names(self.root / name) for name in (options.verbs, options.nouns)
        )
        self.image_fps = NOMINAL if options.frames else None
        self._found = {"train": self._rows("train")}
        if options.label != "action":
            self.class_names = self.verbs if options.label == "verb" else self.nouns
            return
        for split in ("val", "test"):
            name = getattr(options, split)
            if name and (self.root / name).is_file():
                self._found[split] = self._rows(split)
        rows = [row for found in self._found.values() for row in found]
        self.pairs = sorted({(row.verb, row.noun) for row in rows})
        self.class_names = [f"{self.verbs[v]} {self.nouns[n]}" for v, n in self.pairs]
        self._label_of = {pair: label for label, pair in enumerate(self.pairs)}
        self.outputs = (
            Output("verb", self.verbs, [verb for verb, _ in self.pairs]),
            Output("noun", self.nouns, [noun for _, noun in self.pairs]),
        )

    def _read(self, split: str) -> list[Record]:
        if split not in self._found:
            self._found[split] = self._rows(split)
        return [self._record(row) for row in self._found[split]]

    def _record(self, row: EpicRow) -> Record:
        options = self.options
        place = options.path.format(participant=row.participant, video=row.video)
        try:
            path = self.path_of(place)
        except (ValueError, LookupError) as error:
            raise row.line.error(f"PATH {options.path}: {error}") from None
        if options.label == "action":
            label = self._label_of[row.verb, row.noun]
        else:
            label = row.verb if options.label == "verb" else row.noun
        return Record(path, label, row.start, row.end)

    def _rows(self, split: str) -> list[EpicRow]:
        name = getattr(self.options, split)
        if not name:
            raise DataError(f"there is no {split} list: name one in {split.upper()}")
        path = self.root / name
        with opened(path) as file:
            return [self._row(line, cells) for line, cells in csv_rows(path, file, COLUMNS)]

    def _row(self, line: Line, cells: list[str]) -> EpicRow:
        participant, video, start, stop, first, last, *labels = cells
        if not VIDEO.fullmatch(video):
            raise line.error("video_id must look like P01_01 or P01_101")
        numbers = [int(text) if text.isdecimal() else -1 for text in labels]
        kinds = (("verb", self.verbs), ("noun", self.nouns))
        for number, (what, names) in zip(numbers, kinds, strict=True):
            if not 0 <= number < len(names):
                raise line.error(f"{what}_class must be in [0, {len(names)})")
        if self.options.frames:
            if not (first.isdecimal() and last.isdecimal()):
                raise line.error("start_frame and stop_frame must be frame numbers")
            # Both count from 1, and images are named by them: number / IMAGE_FPS is their time.
            span = (int(first) - 1) / NOMINAL, int(last) / NOMINAL
        else:
            span = timestamp_seconds(start, line), timestamp_seconds(stop, line)
        if span[1] <= span[0]:
            raise line.error("the clip must end after it starts")
        return EpicRow(line, participant, video, *span, *numbers)

    def _names(self, path: Path) -> list[str]:
        with opened(path) as file:
            found = {int(cells[0]): cells[1] for _, cells in _numbered(path, file)}
        if sorted(found) != list(range(len(found))):
            raise DataError(f"{path} must number its classes from 0, without gaps")
        return [composed(found[number]) for number in range(len(found))]

    def source(self, record: Record) -> Origin:
        """The video, and who recorded it."""
        video = Path(record.path).stem
        return Origin(video, record.start, record.end, video.partition("_")[0])


def timestamp_seconds(text: str, line: Line) -> float:
    """``01:02:03.5`` in seconds."""
    found = TIME.fullmatch(text)
    if found is None:
        raise line.error(f"a timestamp must be HH:MM:SS.SSS, got {text!r:.40}")
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])


def _numbered(path: Path, file: TextIO) -> Iterator[tuple[Line, list[str]]]:
    for line, cells in csv_rows(path, file, ("id", "key")):
        if not cells[0].isdecimal():
            raise line.error("id must be a class number")
        yield line, cells
