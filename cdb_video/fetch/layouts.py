"""Recognises common layouts of image data sets, and converts them to the official files.

Nothing is unpickled.
"""

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Files = Mapping[str, str]
"""Path under the root of a data set -> sha256 of the contents, of ``.gz`` the unpacked ones; empty
if only the archive of the file has a published checksum."""
Contents = dict[str, bytes]
"""Path under the root of a data set -> contents, of ``.gz`` the unpacked ones."""


def digest_is(data: bytes, digest: str) -> bool:
    """Whether ``data`` has this SHA-256. An empty one always matches."""
    return not digest or hashlib.sha256(data).hexdigest() == digest


def keras_mnist(folder: Path) -> Contents | None:
    """The only ``.npz`` below ``folder``: ``x_train``, ``y_train``, ``x_test``, ``y_test``."""
    archives = list(folder.rglob("*.npz"))
    if len(archives) != 1:
        return None
    with np.load(archives[0], allow_pickle=False) as arrays:
        return idx_files(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])


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
