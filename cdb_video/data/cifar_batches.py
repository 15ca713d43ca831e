"""The two forms of CIFAR's batch files: rows of bytes, and Python pickles.

A pickle can name any function and have it called. Here a name is only ever looked up among the
stand-ins in this file, so that nothing of numpy, or of anything else, is called by a batch.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from cdb_video.data.small_images import Indices, Pixels
from cdb_video.errors import DataError

SIDE = 32
NUM_VALUES = 3 * SIDE * SIDE


def read_binary(path: Path, num_labels: int) -> tuple[Pixels, Indices]:
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
    row = num_labels + NUM_VALUES
    if not content or len(content) % row:
        raise DataError(f"{path}: must have a multiple of {row} bytes, got {len(content)}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, row)
    return _as_images(rows[:, num_labels:]), rows[:, num_labels - 1].astype(np.int64)


def read_pickle(path: Path, label_key: str) -> tuple[Pixels, Indices]:
    """Images (N, 3, 32, 32) and labels (N,) of a Python batch, a dict with ``data`` and labels.

    Raises:
        DataError: the file cannot be read, is damaged, or names something that no batch needs.
    """
    try:
        with path.open("rb") as file:
            content = _BatchReader(file, encoding="bytes").load()
        entries = {key if isinstance(key, str) else key.decode(): content[key] for key in content}
        pixels, labels = entries["data"].values, np.array(entries[label_key])
        if labels.dtype.kind not in "ui":
            raise ValueError(f"{label_key} must be integers")
        return _as_images(pixels.reshape(-1, NUM_VALUES)), labels.astype(np.int64)
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:160]
        raise DataError(f"{path}: not a CIFAR batch ({reason})") from None


def _as_images(rows: Pixels) -> Pixels:
    return rows.reshape(-1, 3, SIDE, SIDE)


class _Type:
    """Stands in for ``numpy.dtype(code, align, copy)``."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, without meaning for single bytes."""


class _Array:
    """Stands in for ``numpy.ndarray`` and for the function that makes an empty one."""

    values: Pixels

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran_order, content = state
        if kind.code != "u1" or fortran_order:
            raise ValueError(f"data must be rows of unsigned bytes, got {kind.code!r}")
        self.values = np.frombuffer(content, np.uint8).reshape(shape)


def _encode(text: str, *_: Any) -> bytes:
    """Stands in for ``_codecs.encode``, with which Python 3 writes bytes for Python 2."""
    return text.encode("latin-1")


STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _BatchReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"refused, it refers to {module}.{name}")
        return STAND_INS[module, name]
