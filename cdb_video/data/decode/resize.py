"""Resizes decoded pictures, for decoders that cannot scale while they convert to RGB."""

import cv2
import numpy as np
from numpy.typing import NDArray


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) after scaling, at least 1 pixel each."""
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """``picture`` (H, W, 3) in another (height, width). Shrinking averages pixels."""
    height, width = size
    if picture.shape[:2] == size:
        return picture
    shrinks = height < picture.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)
