"""The geometry of a clip: crop, rotation, flip and resize as one affine map for all its frames.

Lengths are pixels of the presented video. Coordinates are (x, y); pixel i covers ``[i, i + 1)``,
so its centre is at i + 0.5, and resizing does not shift by half a pixel.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.errors import ConfigError

Affine = npt.NDArray[np.float64]
Frame = npt.NDArray[np.uint8]

TRIES = 10
"""Random shapes that are drawn for a crop which may not fit into its picture."""
AS_IT_IS = ((0, math.sqrt(2)), (2, 3))
"""Pixels for one at which a frame is sooner turned to RGB as it is, and then halved, than scaled by
the decoder (docs/performance.md)."""


class Crop(NamedTuple):
    """The rectangle of the video that becomes a square clip."""

    left: float
    top: float
    width: float
    height: float
    degrees: float = 0.0
    """How far the picture is turned about the middle of the crop; positive is anticlockwise."""
    flipped: bool = False
    """Mirrored left to right, after the rotation."""


class Crops(NamedTuple):
    """The crops of N clips: the fields of ``Crop``, each (N,)."""

    left: npt.NDArray[np.int64]
    top: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    degrees: npt.NDArray[np.float64]
    flipped: npt.NDArray[np.bool_]

    def at(self, rows: npt.NDArray[np.int64]) -> "Crops":
        """The crops of some of the clips."""
        left, top, width, height, degrees, flipped = self
        return Crops(left[rows], top[rows], width[rows], height[rows], degrees[rows], flipped[rows])


def random_crops(
    height: int,
    width: int,
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    count: int,
) -> Crops:
    """Training crops of ``count`` videos of ``height`` x ``width`` for clips of side ``size``."""
    pad = round(augmentation.pad * min(height, width) / size)
    widths, heights = _random_shapes(height, width, augmentation, rng, count)
    left = rng.integers(-pad, width + pad - widths + 1)
    top = rng.integers(-pad, height + pad - heights + 1)
    degrees = rng.uniform(-1.0, 1.0, count) * augmentation.rotation
    return Crops(left, top, widths, heights, degrees, rng.random(count) < augmentation.flip)


def _random_shapes(
    height: int, width: int, augmentation: Augmentation, rng: np.random.Generator, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Widths and heights ``(count,)`` of crops that fit into ``height`` x ``width``.

    The first of ``TRIES`` that fits, as in Szegedy et al., "Going Deeper with Convolutions", CVPR
    2015, section 6. If none fits, the first is cut to the picture.
    """
    by_side = augmentation.crop_by == "side"
    narrowest, widest = augmentation.aspect_ratio
    always_fits = by_side and narrowest == widest == 1
    tries = (count, 1 if always_fits else TRIES)
    scale = rng.uniform(*augmentation.crop_scale, tries)
    side = scale * min(height, width) if by_side else np.sqrt(scale * (height * width))
    stretch = np.ones(tries)
    if not always_fits:
        stretch = np.exp(rng.uniform(np.log(narrowest) / 2, np.log(widest) / 2, tries))
    widths, heights = (
        np.maximum(np.rint(sides), 1).astype(np.int64) for sides in (side * stretch, side / stretch)
    )
    rows = np.arange(count)
    first = ((widths <= width) & (heights <= height)).argmax(axis=1)
    return np.minimum(widths[rows, first], width), np.minimum(heights[rows, first], height)


def random_crop(
    height: int, width: int, size: int, augmentation: Augmentation, rng: np.random.Generator
) -> Crop:
    """One of ``random_crops``."""
    crops = random_crops(height, width, size, augmentation, rng, 1)
    return Crop(*(values[0].item() for values in crops))


def fixed_crop(height: int, width: int, view: int = 0, num_views: int = 1) -> Crop:
    """Spatial view ``view`` of an evaluation clip: a square as large as the short side.

    One view is the middle; three lie at the two ends and in the middle of the long side.
    """
    side = min(height, width)
    third = view if num_views > 1 else 1
    return Crop((width - side) * third // 2, (height - side) * third // 2, side, side)


def decode_scale(crop: Crop, size: int) -> float:
    """The decoder's scale with which ``crop`` still has ``size`` pixels on each side."""
    shrink = min(crop.width, crop.height) / size
    return 1.0 if any(low <= shrink <= high for low, high in AS_IT_IS) else 1 / shrink


def crop_turns(crops: Crops, size: int) -> tuple[Affine, Affine]:
    """How each of N crops is turned, mirrored and scaled to ``size`` x ``size``.

    The matrix maps a point of the picture, relative to the middle of the crop, to a point of the
    output, relative to its middle.

    Returns:
        (N, 2, 2) matrices; (N, 2) the middle (x, y) of each crop.
    """
    angle = np.deg2rad(crops.degrees)
    mirror = np.where(crops.flipped, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    turns = np.stack([mirror * cos, mirror * sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    turns *= np.stack([size / crops.width, size / crops.height], axis=1)[:, :, None]
    middles = np.stack(crops[:2], axis=1) + np.stack(crops[2:4], axis=1) / 2
    return turns, middles


def crop_affine(crop: Crop, video: tuple[int, int], decoded: tuple[int, int], size: int) -> Affine:
    """The map from pixels of decoded frames to pixels of the ``size`` x ``size`` output.

    Args:
        crop: in pixels of the video.
        video: (height, width) of the video.
        decoded: (height, width) of the frames, which the decoder may have scaled.
        size: side of the output.

    Returns:
        ``(2, 3)`` matrix that takes the (x, y, 1) of a pixel's index to that of the output.
    """
    (turn,), (middle,) = crop_turns(Crops(*(np.array([value]) for value in crop)), size)
    linear = turn * [video[1] / decoded[1], video[0] / decoded[0]]
    # An index differs from its coordinate by half a pixel on both sides of the map.
    offset = size / 2 - turn @ middle + linear @ [0.5, 0.5] - 0.5
    return np.column_stack([linear, offset])


def sampling_affines(crops: Crops, height: int, width: int) -> Affine:
    """The map from each crop's output to the picture, for ``torch.nn.functional.affine_grid``.

    Returns:
        ``(N, 2, 3)``: a point of the output -> of the ``height`` x ``width`` picture, both from -1
        to 1 between the outer edges; the inverse of ``crop_affine``.
    """
    turns, middles = crop_turns(crops, 2)  # from -1 to 1
    edges = np.array([width, height]) / 2
    linear = np.linalg.inv(turns) / edges[:, None]
    return np.concatenate([linear, (middles / edges - 1)[:, :, None]], axis=2)


def flipped_classes(
    class_names: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> npt.NDArray[np.int64]:
    """The class of each class's mirror image: ``(K,)``, itself where no pair names it.

    Raises:
        ConfigError: a pair names an unknown class, or a class is in two pairs.
    """
    mirrored = np.arange(len(class_names), dtype=np.int64)
    seen: set[str] = set()
    for pair in pairs:
        for name in pair:
            if name not in class_names:
                raise ConfigError(
                    f"AUG.FLIP_LABELS must name classes ({', '.join(class_names)}), got {name!r}"
                )
            if name in seen:
                raise ConfigError(f"AUG.FLIP_LABELS must name a class once, got {name!r} twice")
            seen.add(name)
        one, other = (class_names.index(name) for name in pair)
        mirrored[one], mirrored[other] = other, one
    return mirrored
