"""MNIST and Fashion-MNIST: 28 x 28 grey images of ten digits, or of ten kinds of clothes."""

import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from cdb_video.data.datasets.small_images import Archive, Pixels, SmallImages, SubsetOptions
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS

FOLDERS = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
"""Where files may lie below the root; the last two as torchvision lays them."""
SUFFIXES = ("-ubyte", "-ubyte.gz")
PREFIX = {"train": "train", "test": "t10k"}
UNSIGNED_BYTES = 8
"""IDX's type code."""


@DATASETS.register("mnist")
class Mnist(SmallImages):
    """MNIST: handwritten digits.

    Reads the IDX files ``{train,t10k}-{images-idx3,labels-idx1}-ubyte``, compressed (``.gz``)
    or not, or Keras's ``mnist.npz``.
    """

    @dataclass(frozen=True)
    class Options(SubsetOptions):
        """Where MNIST lies, and which of its images are used."""

        root: str = "datasets/mnist"
        """Folder that holds the IDX files or ``mnist.npz``."""

    all_classes = tuple("0123456789")
    content = "MNIST's four IDX files or mnist.npz"
    command = "cdb-video get-data mnist"

    def read_archive(self, part: Literal["train", "test"]) -> Archive:
        names = [f"{PREFIX[part]}-{kind}" for kind in ("images-idx3", "labels-idx1")]
        images_path, labels_path = (self._find(name) for name in names)
        npz = self.root / "mnist.npz"
        if images_path and labels_path:
            images, labels = read_idx(images_path), read_idx(labels_path)
            path = images_path
        elif npz.is_file():
            images, labels = _read_npz(npz, part)
            path = npz
        else:
            raise self.missing(
                f"{self.root} must hold {names[0]}-ubyte and {names[1]}-ubyte, with or without "
                ".gz, or mnist.npz"
            )
        if images.ndim != 3 or labels.ndim != 1:
            raise DataError(
                f"{path}: images must have the shape (N, H, W) and labels (N,), "
                f"got {images.shape} and {labels.shape}"
            )
        return Archive.join([(path, images[:, None], labels)], len(self.all_classes))

    def _find(self, name: str) -> Path | None:
        return next((path for path in self._places(name) if path.is_file()), None)

    def _places(self, name: str) -> Iterator[Path]:
        for folder in FOLDERS:
            for suffix in SUFFIXES:
                yield self.root / folder / (name + suffix)
                yield self.root / folder / (name.replace("-idx", ".idx") + suffix)


@DATASETS.register("fashion_mnist")
class FashionMnist(Mnist):
    """Fashion-MNIST: clothes, in files like those of MNIST."""

    @dataclass(frozen=True)
    class Options(SubsetOptions):
        """Where Fashion-MNIST lies, and which of its images are used."""

        root: str = "datasets/fashion_mnist"
        """Folder that holds the IDX files."""

    all_classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    content = "Fashion-MNIST's four IDX files"
    command = "cdb-video get-data fashion_mnist"


def read_idx(path: Path) -> Pixels:
    """The array in an IDX file of unsigned bytes, compressed with gzip or not.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        opening = content[:3].hex(" ")
        raise DataError(f"{path}: must open with the bytes 00 00 08 of IDX, got {opening}")
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4))
    size = math.prod(shape)
    if len(content) != start + size:
        raise DataError(
            f"{path}: must have {start + size} bytes for the shape {shape}, got {len(content)}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_npz(path: Path, part: str) -> tuple[Pixels, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as content:
            images, labels = content[f"x_{part}"], content[f"y_{part}"]
    except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: must hold x_{part} and y_{part} ({error})") from None
    if images.dtype != np.uint8 or labels.dtype.kind not in "ui":
        raise DataError(
            f"{path}: images must be unsigned bytes and labels integers, "
            f"got {images.dtype} and {labels.dtype}"
        )
    return images, labels
