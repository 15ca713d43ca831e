"""The base of datasets: lists of labelled clips, read from annotation files and checked."""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.data.lists.lines import as_here
from cdb_video.data.lists.records import Record, RecordTable
from cdb_video.data.lists.splits import Split
from cdb_video.errors import DataError
from cdb_video.outputs import Output

SPLITS = ("train", "val", "test")
MAX_CLASSES = 100_000
"""More than any data set has: a larger number in a label column is something else."""
NUM_NAMED = 10
"""How many missing clips an error names."""


class Origin(NamedTuple):
    """Where a clip comes from; clips of the same session may show the same moments."""

    session: str
    """The recording, or the file."""
    start: float | None = None
    """In seconds of the session; None is its beginning."""
    end: float | None = None
    """In seconds; None is the end of the session."""
    subject: str | None = None
    """Who recorded or is shown, where names tell it."""


class LabelledClips(ABC):
    """The clips of a dataset and their classes, by split.

    ``Class(Class.Options(root=...))`` raises ``DataError`` if the dataset is missing. Nothing is
    decoded: a record is a path, a label and a time span.
    """

    class_names: list[str]
    """(K,) names; a label is a position in this list, the same in all splits."""
    outputs: tuple[Output, ...] = ()
    """What a class says, where heads of their own may tell it apart (MODEL.HEADS parts)."""
    notes: Sequence[str] = ()
    """What was read in a way that one may not expect, a line each."""
    image_fps: float | None = None
    """What DATA.IMAGE_FPS must be, where times in lists are those of folders of images."""

    def __init__(self, options: Any) -> None:
        self.root = Path(options.root).expanduser()
        self._allow_outside = bool(getattr(options, "allow_outside", False))

    def records(self, split: str) -> Sequence[Record]:
        """The clips of ``split`` (train, val or test), always in the same order and never empty.

        Raises:
            DataError: an unknown or empty split, or an annotation file that is missing or wrong.
        """
        if split not in SPLITS:
            raise DataError(f"a split must be one of {', '.join(SPLITS)}, got {split!r}")
        records = self._read(split)
        if not records:
            raise DataError(f"the split {split!r} of {self.root} has no clips")
        return records

    def _must_hold(self, content: str, *folders: str) -> None:
        """Raises ``DataError`` if the root, or one of ``folders`` in it, is missing.

        Args:
            content: what the root should hold.
        """
        for folder in (self.root, *(self.root / name for name in folders)):
            if not folder.is_dir():
                raise DataError(f"no folder {folder}: it should hold {content}")

    @abstractmethod
    def _read(self, split: str) -> Sequence[Record]:
        """The clips of one of ``SPLITS``."""

    def splits_there(self, missing: Callable[[str, DataError], object]) -> list[str]:
        """The splits that can be read. ``missing`` is called with each other split and the reason.

        Raises:
            DataError: the training split cannot be read.
        """
        names = []
        for name in SPLITS:
            try:
                self.records(name)
                names.append(name)
            except DataError as error:
                if name == "train":
                    raise
                missing(name, error)
        return names

    def source(self, record: Record) -> Origin:
        """Where a clip comes from, if names tell."""
        return Origin(record.path, record.start, record.end)

    def split(self, name: str) -> Split:
        """``records(name)``, ready to be loaded."""
        return Split(self.records(name))

    def check_files(self, records: Sequence[Record], max_missing: int = 0) -> None:
        """Raises ``DataError`` that counts the files of ``records`` that are missing.

        Args:
            max_missing: number of records that may lack their file.
        """
        # Clips of one long file often follow each other.
        is_there = lru_cache(maxsize=1024)(os.path.exists)  # a clip may be a folder of images
        missing = Counter(path for path in RecordTable.of(records).paths if not is_there(path))
        if missing.total() > max_missing:
            first = [os.path.relpath(path, self.root) for path in [*missing][:NUM_NAMED]]
            more = len(missing) - NUM_NAMED
            tail = f", and {more} more" if more > 0 else ""
            num_files = len({record.path for record in records})
            raise DataError(
                f"{len(missing)} of {num_files} clips are missing under {self.root}: "
                f"{', '.join(first)}{tail}"
            )

    def path_of(self, name: str) -> str:
        """``name``, relative to the root, joined to it.

        Raises:
            ValueError: the path leaves the root, where the dataset's ``allow_outside`` is not
                given, or cannot be a path.
        """
        path = os.path.normpath(as_here(self.root, name))
        top = os.path.abspath(self.root)
        inside = os.path.abspath(path).startswith(os.path.join(top, ""))
        if not (inside or self._allow_outside) or "\0" in name:
            raise ValueError(f"the path must lie under {self.root}, got {name!r:.200}")
        return path


def no_validation(path: Path) -> DataError:
    """The error that a validation list is missing, with what can be done."""
    return DataError(
        f"no file {path}: give a validation list, or train without validation by "
        "TRAIN.EVAL_PERIOD 0"
    )


class ImagesInMemory(LabelledClips):
    """A dataset whose images fit in memory, split by split."""

    @abstractmethod
    def images(self, split: str) -> npt.NDArray[np.uint8]:
        """The pictures of ``records(split)`` in their order, (N, 3, H, W) RGB."""

    def split(self, name: str) -> Split:
        return Split(self.records(name), lambda: self.images(name))
