"""Checks the input of metrics: lengths, types and ranges."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def check_labels(
    target: npt.ArrayLike, prediction: npt.ArrayLike, num_classes: int
) -> tuple[IntArray, IntArray]:
    """``target`` and ``prediction`` as two int64 arrays ``(N,)``, N >= 1, each in ``[0, K)``.

    A prediction of -1 means that there is none: the sample is not recognised.

    Raises:
        ValueError: no sample, different lengths, no integers, or a label out of range.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    arrays = []
    for name, values in (("target", target), ("prediction", prediction)):
        array = np.asarray(values)
        if array.ndim != 1:
            raise ValueError(f"{name} must have the shape (N,), got {array.shape}")
        if array.size == 0:
            raise ValueError(f"{name} is empty: at least one sample is needed")
        if array.dtype.kind not in "iu":
            raise ValueError(f"{name} must hold integers, got {array.dtype}")
        lowest = -1 if name == "prediction" else 0
        outside = (array < lowest) | (array >= num_classes)
        if outside.any():
            first = int(outside.argmax())
            raise ValueError(
                f"{name} must lie in [{lowest}, {num_classes}), "
                f"got {array[first]} at position {first}"
            )
        arrays.append(array.astype(np.int64))
    if len(arrays[0]) != len(arrays[1]):
        raise ValueError(
            f"target and prediction must be equally long, got {len(arrays[0])} and {len(arrays[1])}"
        )
    return arrays[0], arrays[1]


def check_scores(
    scores: npt.ArrayLike, num_samples: int, num_classes: int
) -> npt.NDArray[np.floating[Any]]:
    """``scores`` as an array ``(N, K)`` of finite numbers. Raises ``ValueError`` otherwise."""
    array = np.asarray(scores)
    if array.shape != (num_samples, num_classes):
        raise ValueError(
            f"scores must have the shape ({num_samples}, {num_classes}), got {array.shape}"
        )
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"scores must be finite, got {array[row, column]} at [{row}, {column}]")
    return array


def check_per_class(values: Sequence[object], num_classes: int, name: str) -> None:
    """Raises ``ValueError`` unless ``values`` has one entry for each class."""
    if len(values) != num_classes:
        raise ValueError(
            f"{name} must have one entry for each of the {num_classes} classes, got {len(values)}"
        )
