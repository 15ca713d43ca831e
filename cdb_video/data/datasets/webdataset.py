"""Clips in tar archives in WebDataset's layout, for file systems that are slow with small files."""

import glob
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cdb_video.data.datasets.base import MAX_CLASSES, SPLITS, LabelledClips, Origin
from cdb_video.data.datasets.class_files import read_class_names
from cdb_video.data.datasets.list_options import ListOptions
from cdb_video.data.decode.member import INSIDE, content, members
from cdb_video.data.lists.lines import composed
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS

LABELS = ("cls", "json")
"""Endings of the files that say the class of a sample."""


@DATASETS.register("webdataset")
class WebDataset(LabelledClips):
    """Clips in uncompressed tar archives: ``KEY.mp4`` beside ``KEY.cls`` or ``KEY.json``.

    A ``.cls`` file holds the class number, from 0. A ``.json`` file holds an object whose ``label``
    is the class number or name. The headers and labels of all archives are read once, at the start
    of a run. Clips are then read by position, so samplers and resuming work as for files.
    """

    @dataclass(frozen=True)
    class Options(ListOptions):
        """Where the archives lie."""

        root: str = "datasets/shards"
        """Folder of the archives."""

        train: str = "train-*.tar"
        """Archives of the training split, as a pattern of names in ROOT."""

        val: str = "val-*.tar"
        """Archives of the validation split."""

        test: str = "test-*.tar"
        """Archives of the test split. Only testing needs them."""

        class_names: str = ""
        """File under ROOT with the names of the classes, in the forms of ``list``. Empty: those in
        the labels, sorted, or numbers."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._must_hold(f"{options.train} and so on")
        self._samples = {split: list(self._read_split(options, split)) for split in SPLITS}
        if not self._samples["train"]:
            raise DataError(f"no sample in {self.root / options.train}")
        labels = {label for samples in self._samples.values() for _, label in samples}
        if options.class_names:
            self.class_names = read_class_names(self.root / options.class_names)
        elif all(label.isdecimal() for label in labels):
            # By length first: a number of thousands of digits cannot even be read.
            if max(map(len, labels)) > 9 or max(map(int, labels)) >= MAX_CLASSES:
                largest = max(labels, key=lambda label: (len(label), label))
                raise DataError(f"a class number must be below {MAX_CLASSES}, got {largest:.40}")
            self.class_names = [str(n) for n in range(max(map(int, labels)) + 1)]
        else:
            self.class_names = sorted(labels)
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def _read(self, split: str) -> list[Record]:
        return [Record(path, self._number(path, label)) for path, label in self._samples[split]]

    def _number(self, path: str, label: str) -> int:
        by_name = self._label_of.get(label)
        if (
            by_name is None
            and label.isdecimal()
            and len(label) < 10
            and int(label) < len(self.class_names)
        ):
            return int(label)
        if by_name is None:
            raise DataError(f"{path}: the class {label!r:.60} is none of {len(self.class_names)}")
        return by_name

    def _read_split(self, options: Options, split: str) -> Iterator[tuple[str, str]]:
        pattern = os.path.join(glob.escape(os.path.abspath(self.root)), "")
        for archive in sorted(glob.glob(pattern + getattr(options, split))):
            yield from _samples(archive)

    def check_files(self, records: Sequence[Record], max_missing: int = 0) -> None:
        """Does nothing: reading the data set has found the clips in their archives."""

    def source(self, record: Record) -> Origin:
        """Unknown: the archive does not say where a clip comes from."""
        return Origin(record.path)


def _samples(archive: str) -> Iterator[tuple[str, str]]:
    """Path and label of each sample of an archive, in its order."""
    try:
        names = list(members(archive))
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"cannot read {archive}: {error}") from None
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        folder, _, base = name.rpartition("/")
        key, _, ending = base.partition(".")
        groups.setdefault(f"{folder}/{key}", {})[ending.lower()] = name
    for key, files in groups.items():
        clips = [name for ending, name in files.items() if ending not in LABELS]
        found = next((files[ending] for ending in LABELS if ending in files), None)
        if len(clips) != 1 or found is None:
            raise DataError(
                f"{archive}: the sample {key.lstrip('/')} must be one clip and a .cls or .json, "
                f"got {', '.join(files)}"
            )
        inside = archive[: -len(".tar")] + INSIDE
        yield inside + clips[0], _label(inside + found)


def _label(path: str) -> str:
    text = content(path).decode("utf-8", "replace").strip()
    if path.endswith(".cls"):
        label: Any = text if text.isdecimal() else None
    else:
        try:
            label = json.loads(text).get("label")
        except (ValueError, AttributeError):
            label = None
    if not isinstance(label, (str, int)) or isinstance(label, bool):
        raise DataError(f"{path} must hold the class, got {text[:60]!r}")
    return composed(str(label))
