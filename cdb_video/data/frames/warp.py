"""Takes the pixels of one crop out of a frame, by an affine map."""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from cdb_video.data.decode.resize import resized
from cdb_video.data.frames.crops import Affine, Frame

WHOLE = 1e-6
"""How far from whole a number of pixels may be that is taken for whole."""


class _Box(NamedTuple):
    """An upright crop on whole pixels: position, mirroring (-1), number of halvings."""

    rows: slice
    columns: slice
    step: int
    halvings: int


def warper(
    affine: Affine, decoded: tuple[int, int], size: int, *, black: bool = False
) -> Callable[[Frame], Frame]:
    """A function that maps a frame (H, W, 3) of size ``decoded`` by ``affine``: (size, size, 3).

    If the crop has two or more pixels for one of the output, it is halved first, as often as
    needed, by the mean of four pixels. The rest is bilinear, so every pixel of the crop counts.
    Outside the frame is its reflection, or black with ``black``. A crop on whole pixels without
    scale or rotation is a view of the frame.
    """
    box = _box(affine, decoded, size)
    if box is not None:
        return lambda frame: _scaled(frame, box, size)
    halvings = _halvings(1 / np.linalg.norm(affine[:, :2], axis=1).max())
    for _ in range(halvings):
        # Pixel i of the half is pixels 2i and 2i + 1, whose middle is at 2i + 0.5.
        affine = np.column_stack([2 * affine[:, :2], affine @ [0.5, 0.5, 1]])
    border = cv2.BORDER_CONSTANT if black else cv2.BORDER_REFLECT

    def warped(frame: Frame) -> Frame:
        picture = _halved(frame, halvings)
        flags = cv2.INTER_LINEAR
        found = cv2.warpAffine(picture, affine, (size, size), flags=flags, borderMode=border)
        return np.asarray(found, np.uint8)

    return warped


def _box(affine: Affine, decoded: tuple[int, int], size: int) -> _Box | None:
    """The crop, if it is upright, lies on whole pixels and can be halved as often as needed."""
    linear, offset = affine[:, :2], affine[:, 2]
    if max(abs(linear[0, 1]), abs(linear[1, 0])) > WHOLE:
        return None
    # The first and the last corner of the output, in coordinates of the frame.
    corners = np.array([[-0.5], [size - 0.5]])
    found = (corners - offset) / np.diag(linear) + 0.5
    whole = np.rint(found).astype(np.int64)
    if np.abs(found - whole).max() > WHOLE:
        return None
    (x, top), (other_x, bottom) = whole.tolist()
    left, right = min(x, other_x), max(x, other_x)
    if not (left >= 0 and right <= decoded[1] and 0 <= top < bottom <= decoded[0]):
        return None
    halvings = _halvings(min(bottom - top, right - left) / size)
    if (bottom - top) % 2**halvings or (right - left) % 2**halvings:
        return None
    return _Box(slice(top, bottom), slice(left, right), 1 if x == left else -1, halvings)


def _scaled(frame: Frame, box: _Box, size: int) -> Frame:
    picture = _halved(frame[box.rows, box.columns], box.halvings)
    if picture.shape[:2] != (size, size):
        smooth = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
        picture = np.asarray(smooth, np.uint8)
    return picture[:, :: box.step]


def _halved(picture: Frame, times: int) -> Frame:
    """Halves height and width ``times`` times; drops an odd last row or column."""
    for _ in range(times):
        height, width = (side // 2 for side in picture.shape[:2])
        picture = resized(picture[: 2 * height, : 2 * width], (height, width))
    return picture


def _halvings(shrink: float) -> int:
    """How often a picture is halved that becomes ``shrink`` times smaller."""
    return max(0, math.floor(math.log2(shrink) + WHOLE))
