"""HMDB51 (Kuehne et al., ICCV 2011), as its archives unpack."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdb_video.config.types import FractionBelowOne
from cdb_video.data.datasets.base import LabelledClips, Origin
from cdb_video.data.lists.lines import composed, read_lines
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS

LISTS = "testTrainMulti_7030_splits"
CLIPS = "hmdb51_org"
LIST = re.compile(r"(?P<name>.+)_test_split(?P<split>[123])\.txt")
PARTS = {"0": "unused", "1": "train", "2": "test"}
"""What stands behind the name of a clip."""


@DATASETS.register("hmdb51")
class Hmdb51(LabelledClips):
    """HMDB51: 6,766 clips of 51 actions; the official lists, and the clips that they name.

    ``ROOT/hmdb51_org/<class>/*.avi`` and ``ROOT/testTrainMulti_7030_splits`` with its files
    ``<class>_test_split1.txt`` and so on, as the archives unpack. Classes are numbered by name.
    Clips of one film look alike, so ``val`` takes whole films of the training clips: as many as fit
    into VAL_SHARE of a class, in the order of the SHA-256 of their names.
    """

    @dataclass(frozen=True)
    class Options:
        """Where HMDB51 lies."""

        root: str = "datasets/hmdb51"
        """Folder that holds ``hmdb51_org`` and ``testTrainMulti_7030_splits``."""

        split: Literal[1, 2, 3] = 1
        """Number of the official split."""

        val_share: FractionBelowOne = 0.2
        """Share of each class's training clips that is held out for validation, film by film, in
        [0, 1). 0 trains on all clips, with TRAIN.EVAL_PERIOD 0."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        self._must_hold("what HMDB51's archives unpack to", LISTS, CLIPS)
        self._lists: dict[str, Path] = {}
        for path in sorted((self.root / LISTS).iterdir()):
            found = LIST.fullmatch(path.name)
            if found and int(found["split"]) == options.split:
                self._lists[found["name"]] = path
        if not self._lists:
            raise DataError(f"{self.root / LISTS} has no <class>_test_split{options.split}.txt")
        self.class_names = [composed(name) for name in self._lists]

    def _read(self, split: str) -> list[Record]:
        records = []
        for label, (name, path) in enumerate(self._lists.items()):
            clips = self._clips(path)
            official = [
                clip for clip, part in clips if part == ("test" if split == "test" else "train")
            ]
            if split != "test":
                held_out = self._held_out(official, name)
                official = [clip for clip in official if (clip in held_out) == (split == "val")]
            records += [Record(self.path_of(f"{CLIPS}/{name}/{clip}"), label) for clip in official]
        return records

    def _clips(self, path: Path) -> list[tuple[str, str]]:
        """Names of clips and the part of each; 0 means that this split does not use it."""
        pairs = []
        for line in read_lines(path):
            clip, _, part = line.text.rpartition(" ")
            if part not in PARTS or not clip or "/" in clip or "\\" in clip:
                raise line.error("expected 'clip.avi 0', 1 or 2: unused, train or test")
            pairs.append((clip.strip(), PARTS[part]))
        return pairs

    def _held_out(self, clips: list[str], class_name: str) -> set[str]:
        films: dict[str, list[str]] = {}
        for clip in clips:
            films.setdefault(film_of(clip, class_name), []).append(clip)
        held_out: set[str] = set()
        for film in sorted(films, key=lambda film: hashlib.sha256(film.encode()).digest()):
            if len(held_out) + len(films[film]) > self.options.val_share * len(clips):
                continue
            held_out.update(films[film])
        return held_out

    def source(self, record: Record) -> Origin:
        """The film that a clip is cut from."""
        return Origin(film_of(Path(record.path).name, self.class_names[record.label]))


def film_of(clip: str, class_name: str) -> str:
    """The text before the class in ``film_class_u_cm_np1_ri_med_4.avi``."""
    return clip.partition(f"_{class_name}_")[0]
