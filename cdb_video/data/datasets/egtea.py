"""EGTEA Gaze+: trimmed clips of cooking seen from the cook's head, with verb and noun labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdb_video.data.datasets.base import LabelledClips, Origin
from cdb_video.data.lists.lines import Line, read_lines
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.outputs import Output
from cdb_video.registry import DATASETS

ANNOTATION = "action_annotation"
CLIPS = "cropped_clips"
FPS = 24
"""Frames a second of all recordings."""
COLUMN = {"action": 1, "verb": 2, "noun": 3}
"""Where the id stands in a line ``clip action verb noun [noun [noun]]``."""


@DATASETS.register("egtea")
class Egtea(LabelledClips):
    """EGTEA Gaze+: the official annotation, and the clips that its lists name, nothing else.

    ``ROOT/action_annotation`` holds ``{train,test}_split{1,2,3}.txt`` and
    ``{action,verb,noun}_idx.txt``, ``ROOT/cropped_clips/<session>/<clip>.mp4`` the clips; the
    session is the first three dash fields of the clip's name. ``val`` is the part of the official
    training list that the held-out subjects recorded, ``train`` the rest of it.
    """

    @dataclass(frozen=True)
    class Options:
        """Where EGTEA Gaze+ lies, and which task it poses."""

        root: str = "datasets/egtea"
        """Folder that holds ``action_annotation`` and ``cropped_clips``."""

        split: Literal[1, 2, 3] = 1
        """Number of the official pair of training and test lists."""

        label: Literal["verb", "noun", "action"] = "verb"
        """What is recognised: the verb (19 classes), the first noun (53) or the action (106)."""

        val_subjects: tuple[str, ...] = ("P20", "P21", "P22", "P23", "P24", "P25", "P26")
        """Subjects of the training list that are held out for validation. A clip's subject is the
        first part of its name, before the first dash."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        self._annotation = self.root / ANNOTATION
        for folder, content in (
            (self.root, f"EGTEA Gaze+ with its folders {ANNOTATION} and {CLIPS}"),
            (self._annotation, "the lists of EGTEA's action_annotation.zip"),
            (self.root / CLIPS, "EGTEA's trimmed clips, <session>/<clip>.mp4"),
        ):
            if not folder.is_dir():
                raise DataError(f"no folder {folder}: it should hold {content}")
        self.class_names = _read_names(self._annotation / f"{options.label}_idx.txt")
        if options.label == "action":
            self.outputs = self._verb_and_noun()

    def _verb_and_noun(self) -> tuple[Output, ...]:
        """The verb and the first noun of each action, as the lists of all splits have them."""
        found: dict[int, tuple[int, int]] = {}
        for kind in ("train", "test"):
            path = self._annotation / f"{kind}_split{self.options.split}.txt"
            for line in _lines(path) if path.is_file() else ():
                action, verb, noun = (int(text) for text in line.text.split()[1:4])
                if found.setdefault(action - 1, (verb - 1, noun - 1)) != (verb - 1, noun - 1):
                    return ()  # then they do not follow from the action
        # No clip shows this action, so it is never learnt. It gets the first verb and noun.
        pairs = [found.get(action, (0, 0)) for action in range(len(self.class_names))]
        names = [_read_names(self._annotation / f"{part}_idx.txt") for part in ("verb", "noun")]
        return (
            Output("verb", names[0], [verb for verb, _ in pairs]),
            Output("noun", names[1], [noun for _, noun in pairs]),
        )

    def _read(self, split: str) -> list[Record]:
        official = "test" if split == "test" else "train"
        path = self._annotation / f"{official}_split{self.options.split}.txt"
        if split == "test":
            return [self._record(line) for line in _lines(path)]
        return [
            self._record(line)
            for line in _lines(path)
            if (line.text.split("-")[0] in self.options.val_subjects) == (split == "val")
        ]

    def source(self, record: Record) -> Origin:
        """By the clip's name, ``<subject>-<recipe>-<dish>-<ms>-<ms>-F<frame>-F<frame>``.

        The file holds the frames between the frame numbers, more than the milliseconds say.
        """
        fields = Path(record.path).stem.split("-")
        session, frames = "-".join(fields[:3]), [field.removeprefix("F") for field in fields[5:7]]
        if len(frames) < 2 or not all(map(_is_id, frames)):
            return Origin(session, subject=fields[0])
        start, end = (int(frame) / FPS for frame in frames)
        return Origin(session, start, end, fields[0])

    def _record(self, line: Line) -> Record:
        clip, *ids = line.text.split()
        if not 3 <= len(ids) <= 5 or not all(_is_id(text) for text in ids):
            raise line.error("expected 'clip action verb noun [noun [noun]]' with ids from 1")
        label, count = int(ids[COLUMN[self.options.label] - 1]), len(self.class_names)
        if not 1 <= label <= count:
            raise line.error(f"the {self.options.label} must be in [1, {count}], got {label}")
        fields = clip.split("-")
        if len(fields) < 4:
            raise line.error("a clip's name must open with <subject>-<recipe>-<dish>-")
        try:
            path = self.path_of(f"{CLIPS}/{'-'.join(fields[:3])}/{clip}.mp4")
        except ValueError as error:
            raise line.error(str(error)) from None
        return Record(path, label - 1)


def _read_names(path: Path) -> list[str]:
    """Class names in the order of their ids from lines ``Name of any words id``."""
    names: dict[int, str] = {}
    for line in _lines(path):
        name, _, id_text = " ".join(line.text.split()).rpartition(" ")
        if not name or not _is_id(id_text):
            raise line.error("expected 'name id' with an id from 1")
        if int(id_text) in names:
            raise line.error(f"the id {int(id_text)} already means {names[int(id_text)]!r}")
        names[int(id_text)] = name
    if not names:
        raise DataError(f"{path} lists no classes: expected lines 'name id'")
    for number in range(1, len(names) + 1):
        if number not in names:
            raise DataError(f"{path} lists {len(names)} classes, but none with the id {number}")
    return [names[number] for number in range(1, len(names) + 1)]


def _lines(path: Path) -> Iterator[Line]:
    if not path.is_file():
        raise DataError(f"no file {path}: it is part of EGTEA's action_annotation.zip")
    return read_lines(path)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10
