"""Data sets of small images, and the imbalanced subsets that are made of them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.config.types import Interval, NonNegativeInt
from cdb_video.data.datasets.base import ImagesInMemory
from cdb_video.data.lists.imbalance import profile_shares, sizes_by_largest, sizes_by_total
from cdb_video.data.lists.records import Record
from cdb_video.errors import ConfigError, DataError

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SubsetOptions:
    """Which images are used. The choice depends on these options only, not on RNG_SEED."""

    classes: tuple[NonNegativeInt, ...] = ()
    """Numbers of the classes to tell apart, in the order of their labels. [9, 4] are two classes,
    and 9 is the first. Empty takes all classes."""

    imbalance: Literal["none", "exponential", "step"] = "none"
    """Shape of the training class sizes. 'none' takes all images of each class. 'exponential'
    shrinks by the same factor from class to class. 'step' shrinks once, in the middle of the
    classes. With two classes both make a large and a small one."""

    ratio: Annotated[float, Interval(low=1)] = 100.0
    """Size of the largest class divided by that of the smallest, before rounding. It has no effect
    on IMBALANCE none."""

    class_order: Literal["numbered", "random"] = "numbered"
    """Which classes are large. 'numbered' goes from large to small in the order of the labels.
    'random' shuffles that order with SEED."""

    max_per_class: NonNegativeInt = 0
    """Training images of the largest class at most. 0 takes all there are."""

    num_train: NonNegativeInt = 0
    """Training images of all classes together, for an IMBALANCE. 0 takes as many as MAX_PER_CLASS
    allows."""

    val_per_class: NonNegativeInt = 25
    """Validation images of each class. They are its last training images, and are taken away before
    anything else. 0 makes no validation split."""

    selection: Literal["first", "random"] = "first"
    """Which training images of a class are kept. 'first' keeps the first in the files, 'random'
    draws them with SEED."""

    seed: Annotated[int, Interval(low=0, high=2**32 - 1)] = 0
    """Seed of CLASS_ORDER random and SELECTION random."""

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes) or len(self.classes) == 1:
            raise ConfigError(
                f"CLASSES must be two or more different numbers, got {list(self.classes)}"
            )
        if self.num_train and (self.max_per_class or self.imbalance == "none"):
            raise ConfigError("NUM_TRAIN needs an IMBALANCE, and no MAX_PER_CLASS")


Files = Sequence[tuple[Path, Pixels, npt.ArrayLike]]
"""Each file with its images (N, C, H, W) and their labels (N,)."""


class Archive(NamedTuple):
    """The images in the files of one part, training or test, of a data set."""

    images: Pixels
    """(N, C, H, W), C is 1 (grey) or 3 (RGB)."""
    labels: Indices
    """(N,) numbers of the classes in the files."""
    paths: list[str]
    """(N,) ``file#number``, counted from 0 in each file."""

    @classmethod
    def join(cls, files: Files, num_classes: int) -> "Archive":
        """The content of all files, in order.

        Raises:
            DataError: a label is not in [0, num_classes), or images and labels differ in number.
        """
        for path, images, labels in files:
            numbers = np.asarray(labels)
            if numbers.shape != (len(images),):
                raise DataError(f"{path}: {len(images)} images, but {numbers.size} labels")
            wrong = numbers[(numbers < 0) | (numbers >= num_classes)]
            if wrong.size:
                raise DataError(f"{path}: a label must be in [0, {num_classes}), got {wrong[0]}")
        return cls(
            np.concatenate([images for _, images, _ in files]),
            np.concatenate([np.asarray(labels, np.int64) for _, _, labels in files]),
            [f"{path}#{number}" for path, images, _ in files for number in range(len(images))],
        )


class SmallImages(ImagesInMemory):
    """Base of data sets in a few files: MNIST, CIFAR.

    A subclass names the classes and reads the files. Records come class by class; their path is
    that of an :class:`Archive`.
    """

    all_classes: ClassVar[tuple[str, ...]]
    """Names of the classes in the files, by number."""
    content: ClassVar[str]
    """What should lie in the root, for messages."""
    command: ClassVar[str]
    """The command that gets it."""

    options: Any

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.options = options
        if not self.root.is_dir():
            raise self.missing(f"no folder {self.root}: it should hold {self.content}")
        for number in options.classes:
            if number >= len(self.all_classes):
                raise ConfigError(f"CLASSES must be below {len(self.all_classes)}, got {number}")
        self._numbers = options.classes or range(len(self.all_classes))
        self.class_names = [self.all_classes[number] for number in self._numbers]
        self._archives: dict[str, Archive] = {}

    @abstractmethod
    def read_archive(self, part: Literal["train", "test"]) -> Archive:
        """The images of one part.

        Raises:
            DataError: a file is missing or damaged.
        """

    def missing(self, what: str) -> DataError:
        """The error that ``what`` is missing, with the command that downloads it."""
        return DataError(f"{what}; {self.command} gets the data")

    def images(self, split: str) -> Pixels:
        archive, members = self._choose(split)
        chosen = archive.images[np.concatenate(members)]
        return chosen if chosen.shape[1] == 3 else chosen.repeat(3, axis=1)

    def _read(self, split: str) -> list[Record]:
        archive, members = self._choose(split)
        return [Record(archive.paths[i], label) for label, rows in enumerate(members) for i in rows]

    def _choose(self, split: str) -> tuple[Archive, list[Indices]]:
        """The archive that has ``split``, and the rows of each class in it, by label."""
        part: Literal["train", "test"] = "test" if split == "test" else "train"
        if part not in self._archives:
            self._archives[part] = self.read_archive(part)
        archive = self._archives[part]
        members = [np.flatnonzero(archive.labels == number) for number in self._numbers]
        if split == "test":
            return archive, members
        num_val = self.options.val_per_class
        if split == "val" and not num_val:
            raise DataError(
                "VAL_PER_CLASS 0 makes no validation split. Set it, or train without "
                "validation (TRAIN.EVAL_PERIOD 0)"
            )
        for name, rows in zip(self.class_names, members, strict=True):
            if len(rows) <= num_val:
                raise ConfigError(
                    f"VAL_PER_CLASS must leave training images, but class {name!r} has "
                    f"{len(rows)} in {self.root}, got {num_val}"
                )
        if split == "val":
            return archive, [rows[-num_val:] for rows in members]
        return archive, self._imbalanced([rows[: len(rows) - num_val] for rows in members])

    def _imbalanced(self, members: list[Indices]) -> list[Indices]:
        """The training images of each class, out of those in ``members``."""
        options = self.options
        if options.selection == "random":
            # As the code of LDAM (Cao et al., NeurIPS 2019) draws them: one stream for all classes.
            stream = np.random.RandomState(options.seed)
            members = [stream.permutation(rows) for rows in members]
        sizes = self._sizes([len(rows) for rows in members])
        return [rows[:size] for rows, size in zip(members, sizes, strict=True)]

    def _sizes(self, available: list[int]) -> list[int]:
        """How many images of each class to keep.

        Raises:
            ConfigError: the options ask for more images than there are, or for none of a class.
        """
        options = self.options
        if options.imbalance == "none":
            return [min(count, options.max_per_class or count) for count in available]
        num_classes = len(available)
        shares = profile_shares(num_classes, options.imbalance, options.ratio)
        if options.class_order == "random":
            ranks = np.random.default_rng(options.seed).permutation(num_classes)
            shares = [shares[rank] for rank in ranks]
        if options.num_train:
            sizes = sizes_by_total(shares, options.num_train)
        else:
            sizes = sizes_by_largest(available, shares, options.max_per_class)
        for name, size, count in zip(self.class_names, sizes, available, strict=True):
            if not 0 < size <= count:
                raise ConfigError(
                    f"RATIO, NUM_TRAIN and MAX_PER_CLASS must leave 1 to {count} images of class "
                    f"{name!r}, got {size}"
                )
        return sizes
