"""The splits of a dataset: their records and labels."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cdb_video.data.lists.facts import facts_of
from cdb_video.data.lists.records import Record, RecordTable
from cdb_video.outputs import Output, Outputs

Labels = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]


def max_bad(fraction: float, num_records: int) -> int:
    """How many records of a split may be bad: ``fraction`` of them, at least one."""
    return max(1, int(fraction * num_records))


class Split:
    """The N records of one split.

    Args:
        records: in an order that never changes; positions refer to it.
        images: reads the pictures, (N, 3, H, W) uint8 RGB, if they fit in memory; None if the
            records are files, which are decoded on demand.
    """

    def __init__(
        self, records: Sequence[Record], images: Callable[[], Images] | None = None
    ) -> None:
        self.records = RecordTable.of(records)
        self._read = images

    @property
    def labels(self) -> Labels:
        """(N,) the class of each record."""
        return self.records.labels

    @property
    def files(self) -> Sequence[Record]:
        """The records that are files of their own."""
        return self.records if self._read is None else ()

    @cached_property
    def images(self) -> Images | None:
        """(N, 3, H, W) uint8 RGB, read once; None if the records are files."""
        return None if self._read is None else self._read()


class HasSplits(Protocol):
    """A source of splits."""

    class_names: list[str]

    def split(self, name: str) -> Split:
        """The split ``name``."""

    def check_files(self, records: Sequence[Record], max_missing: int = 0) -> None:
        """Raises ``DataError`` where more than ``max_missing`` of ``records`` lack their file."""


class Splits:
    """The splits that a run needs, read once.

    Args:
        dataset: has the splits.
        names: the splits to read. Their lists must exist; their files need not.
    """

    def __init__(self, dataset: HasSplits, names: Iterable[str]) -> None:
        self.class_names = dataset.class_names
        """(K,) names, by label."""
        self.outputs: tuple[Output, ...] = getattr(dataset, "outputs", ())
        """What a class says, where heads of their own may tell it apart."""
        self._dataset = dataset
        self._splits = {name: dataset.split(name) for name in dict.fromkeys(names)}

    def __getitem__(self, name: str) -> Split:
        return self._splits[name]

    def __contains__(self, name: str) -> bool:
        return name in self._splits

    def unseen(self, name: str) -> npt.NDArray[np.bool_] | None:
        """(N,) whether the person of a clip of the split ``name`` is not in the training split.
        None if names do not tell the person."""
        source = getattr(self._dataset, "source", None)
        if source is None:
            return None
        of_split = [source(record).subject for record in self._splits[name].records]
        known = {source(record).subject for record in self._splits["train"].records}
        if None in known or None in of_split:
            return None
        return np.array([subject not in known for subject in of_split])

    def check_files(self, *names: str, max_bad_fraction: float | None = None) -> None:
        """Raises ``DataError`` where files of the splits ``names`` are missing.

        Args:
            max_bad_fraction: the share of a split that may be missing; None for nothing.
        """
        for name in names:
            files = self._splits[name].files
            allowed = 0 if max_bad_fraction is None else max_bad(max_bad_fraction, len(files))
            self._dataset.check_files(files, allowed)

    def labels(self, name: str) -> Labels:
        """(N,) the class of each record of a split."""
        return self._splits[name].labels

    def counts(self, names: str) -> Labels:
        """(K,) clips of each class in a split, or in several joined by '+'."""
        joined = np.concatenate([self.labels(name) for name in names.split("+")])
        return np.bincount(joined, minlength=len(self.class_names))

    def output_counts(self, names: str, outputs: Outputs) -> list[Labels]:
        """As ``counts``, for each of ``outputs``."""
        counts = self.counts(names)
        return [
            np.bincount(output.of_class, counts, len(output.class_names)).astype(np.int64)
            for output in outputs
        ]

    def absent_classes(self, name: str) -> tuple[list[str], str]:
        """Names of the classes without a clip in a split, and the likely reason."""
        absent = [self.class_names[label] for label in np.flatnonzero(self.counts(name) == 0)]
        return absent, "; are labels counted from 1?" if absent[:1] == ["0"] else ""

    def facts(self, *names: str) -> dict[str, dict[str, Any]]:
        """Of splits, by default all, what tells whether a list has changed; see ``facts_of``."""
        root = str(getattr(self._dataset, "root", ""))
        return {
            name: facts_of(self._splits[name].records, self.class_names, root)
            for name in names or self._splits
        }

    def oddities(self) -> list[str]:
        """Probable mistakes, one in a line: classes without training clips, clips in two splits."""
        found = [*getattr(self._dataset, "notes", ())]
        empty, hint = self.absent_classes("train")
        if empty:
            names = ", ".join(empty[:10])
            more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
            found.append(f"{len(empty)} classes have no training clip: {names}{more}{hint}")
        keys = {name: split.records.keys() for name, split in self._splits.items()}
        for one, other in itertools.combinations(keys, 2):
            shared = np.intersect1d(keys[one], keys[other])
            clips = [self._clips(name, shared, keys[name]) for name in (one, other)]
            if both := clips[0] & clips[1]:
                path = min(both, key=str)[0]
                found.append(f"{len(both)} clips are in {one} and in {other}, such as {path}")
        return found

    def _clips(self, name: str, wanted: Labels, keys: Labels) -> set[Any]:
        """Paths and times of the records of a split whose keys are ``wanted``."""
        records = self._splits[name].records
        found = (records[place] for place in np.flatnonzero(np.isin(keys, wanted)).tolist())
        return {(record.path, record.start, record.end) for record in found}
