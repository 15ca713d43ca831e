"""RandAugment (Cubuk et al., NeurIPS workshops 2020), the same for all frames of a clip.

The operations and strengths are timm's "increasing" ones, which PySlowFast uses. Pillow computes
them.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

Picture = Image.Image
Operation = Callable[[Picture, float], Picture]
"""(picture, strength in [-1, 1]) -> picture."""

MOST = 10.0
"""Magnitude of the full strength."""
PROBABILITY = 0.5
"""That an operation that was drawn is done."""
GREY = (128, 128, 128)
"""What comes in from outside the picture."""


class Policy(NamedTuple):
    """The parts of ``rand-m9-n2-mstd0.5-inc1``."""

    magnitude: float
    """In [0, 10]."""
    operations: int = 2
    """Operations on each clip."""
    deviation: float = 0.0
    """Standard deviation of the magnitude."""


def parse_policy(text: str) -> Policy:
    """Reads a policy in timm's words: ``rand-mM-inc1``, perhaps with ``-nN`` and ``-mstdS``.

    Without ``-inc1`` timm means operations whose strength does not rise with the magnitude, which
    there are none of here.

    Raises:
        ValueError: the text is no policy, or one without ``-inc1``.
    """
    name, *words = text.split("-")
    values: dict[str, float] = {}
    for word in words:
        found = re.fullmatch(r"(mstd|m|n|inc)(\d+(?:\.\d+)?)", word)
        if found is not None:
            values[found[1]] = float(found[2])
    whole = len(values) == len(words) and name == "rand" and values.get("inc") == 1
    if not whole or not 0 <= values.get("m", -1) <= MOST or values.get("n", 2) < 1:
        raise ValueError(
            "AA_TYPE must be like rand-m9-n2-mstd0.5-inc1 with a magnitude m in [0, 10]; "
            f"-inc1 must end it, without which timm means other operations, got {text!r}"
        )
    return Policy(values["m"], int(values.get("n", 2)), values.get("mstd", 0.0))


def rand_augmented(
    frames: npt.NDArray[np.uint8], policy: Policy, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Frames (T, H, W, 3), all changed in the same way."""
    pictures = [Image.fromarray(frame) for frame in frames]
    for name in rng.choice(list(OPERATIONS), policy.operations).tolist():
        magnitude = np.clip(rng.normal(policy.magnitude, policy.deviation), 0, MOST)
        sign, done = rng.choice((-1.0, 1.0)), rng.random() < PROBABILITY
        if done:
            pictures = [OPERATIONS[name](p, float(sign * magnitude / MOST)) for p in pictures]
    return np.stack([np.asarray(picture) for picture in pictures])


def erased(
    frames: npt.NDArray[np.uint8], count: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Frames (T, H, W, 3) with noise in ``count`` boxes, the same in all of them.

    Random erasing (Zhong et al., AAAI 2020) with PySlowFast's numbers: a box has 2 to 33 % of the
    picture, its height is 0.3 to 3.3 times its width; noise is normal, around a mean of 114.75,
    with a deviation of 57.375. PySlowFast draws other noise for each frame, and tries up to ten
    times for a box that fits; here a box that does not fit is left out.
    """
    height, width = frames.shape[1:3]
    frames = frames.copy()
    for _ in range(count):
        area = rng.uniform(0.02, 1 / 3) / count * height * width
        ratio = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
        h, w = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if h < height and w < width:
            top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            noise = rng.normal(114.75, 57.375, (h, w, 3)).round().clip(0, 255)
            frames[:, top : top + h, left : left + w] = noise.astype(np.uint8)
    return frames


def _affine(picture: Picture, *numbers: float) -> Picture:
    return picture.transform(
        picture.size, Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR, fillcolor=GREY
    )


def _enhanced(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Operation:
    return lambda picture, s: kind(picture).enhance(max(0.1, 1 + 0.9 * s))


def _solarize_add(picture: Picture, strength: float) -> Picture:
    add = int(110 * abs(strength))
    return picture.point([min(255, v + add) if v < 128 else v for v in range(256)] * 3)


OPERATIONS: dict[str, Operation] = {
    "auto_contrast": lambda picture, s: ImageOps.autocontrast(picture),
    "equalize": lambda picture, s: ImageOps.equalize(picture),
    "invert": lambda picture, s: ImageOps.invert(picture),
    "rotate": lambda picture, s: picture.rotate(30 * s, Image.Resampling.BILINEAR, fillcolor=GREY),
    "posterize": lambda picture, s: ImageOps.posterize(picture, max(1, 4 - int(4 * abs(s)))),
    "solarize": lambda picture, s: ImageOps.solarize(picture, 256 - int(256 * abs(s))),
    "solarize_add": _solarize_add,
    "colour": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": lambda picture, s: _affine(picture, 1, 0.3 * s, 0, 0, 1, 0),
    "shear_y": lambda picture, s: _affine(picture, 1, 0, 0, 0.3 * s, 1, 0),
    "translate_x": lambda picture, s: _affine(picture, 1, 0, 0.45 * s * picture.width, 0, 1, 0),
    "translate_y": lambda picture, s: _affine(picture, 1, 0, 0, 0, 1, 0.45 * s * picture.height),
}
