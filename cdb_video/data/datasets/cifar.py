"""CIFAR-10 and CIFAR-100: 32 x 32 colour images of 10 or 100 kinds of things."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from cdb_video.data.datasets.small_images import (
    Archive,
    Indices,
    Pixels,
    SmallImages,
    SubsetOptions,
)
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS

SIDE = 32


class Cifar(SmallImages):
    """Reads the binary batches from the root or the folder of the official archive.

    It does not read the Python batches: they are pickles, which can run code.
    """

    folders: ClassVar[tuple[str, ...]]
    """Where the batches may lie below the root."""
    num_label_bytes: ClassVar[int]
    """Labels of an image; the last counts."""
    batches: ClassVar[dict[str, tuple[str, ...]]]
    """Names of the files of each part."""

    def read_archive(self, part: Literal["train", "test"]) -> Archive:
        names = self.batches[part]
        for folder in self.folders:
            paths = [self.root / folder / name for name in names]
            if all(path.is_file() for path in paths):
                batches = [(path, *read_batch(path, self.num_label_bytes)) for path in paths]
                return Archive.join(batches, len(self.all_classes))
        raise self.missing(
            f"{self.root} must hold the binary batches {', '.join(names)} (Python batches are not "
            "read: pickles can run code)"
        )


def read_batch(path: Path, num_labels: int) -> tuple[Pixels, Indices]:
    """Images (N, 3, 32, 32) and labels (N,) of a binary batch.

    Args:
        num_labels: bytes of labels before each image, of which the last counts: 1 in CIFAR-10, 2
            (coarse, fine) in CIFAR-100.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    row = num_labels + 3 * SIDE * SIDE
    if not content or len(content) % row:
        raise DataError(f"{path}: must have a multiple of {row} bytes, got {len(content)}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, row)
    images = rows[:, num_labels:].reshape(-1, 3, SIDE, SIDE)
    return images, rows[:, num_labels - 1].astype(np.int64)


@DATASETS.register("cifar10")
class Cifar10(Cifar):
    """CIFAR-10: small colour images of 10 classes.

    ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``.
    """

    @dataclass(frozen=True)
    class Options(SubsetOptions):
        """Where CIFAR-10 lies, and which of its images are used."""

        root: str = "datasets/cifar10"
        """Folder that holds the batches, or ``cifar-10-batches-bin`` with them."""

    all_classes = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    content = "CIFAR-10's binary batches"
    command = "cdb-video get-data cifar10"
    folders = ("", "cifar-10-batches-bin")
    num_label_bytes = 1
    batches: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
    }


@DATASETS.register("cifar100")
class Cifar100(Cifar):
    """CIFAR-100: small colour images of 100 classes, the fine labels.

    ``train.bin`` and ``test.bin``.
    """

    @dataclass(frozen=True)
    class Options(SubsetOptions):
        """Where CIFAR-100 lies, and which of its images are used."""

        root: str = "datasets/cifar100"
        """Folder that holds the batches, or ``cifar-100-binary`` with them."""

    all_classes = tuple(
        name
        for line in (
            "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge",
            "bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud",
            "cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox",
            "girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man",
            "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree",
            "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray",
            "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel",
            "streetcar sunflower sweet_pepper table tank telephone television tiger tractor train",
            "trout tulip turtle wardrobe whale willow_tree wolf woman worm",
        )
        for name in line.split()
    )
    content = "CIFAR-100's binary batches"
    command = "cdb-video get-data cifar100"
    folders = ("", "cifar-100-binary")
    num_label_bytes = 2
    batches: ClassVar[dict[str, tuple[str, ...]]] = {"train": ("train.bin",), "test": ("test.bin",)}
