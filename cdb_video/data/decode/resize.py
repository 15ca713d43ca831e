"""Resizes decoded pictures, for decoders that cannot scale while they convert to RGB."""

import cv2
import numpy as np
from numpy.typing import NDArray


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) after scaling, at least 1 pixel each."""
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def resized_into(picture: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    """Fills ``target`` (h, w, 3) with ``picture`` (H, W, 3), averaging where it is smaller."""
    height, width = target.shape[:2]
    shrinks = height < picture.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    cv2.resize(picture, (width, height), target, interpolation=interpolation)
