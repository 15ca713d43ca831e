"""The options of what is changed at random in training clips."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cdb_video.config.types import (
    Fraction,
    Interval,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
)
from cdb_video.data.frames.rand_augment import parse_policy
from cdb_video.errors import ConfigError

Degrees = Annotated[float, Interval(low=0, high=180)]


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training clips, drawn once a clip and the same for all its frames."""

    pad: NonNegativeInt = 0
    """Black border around the picture that the random crop may reach into, in pixels of a picture
    whose short side is DATA.CROP_SIZE; 4 is usual for CIFAR. With 0, what a rotation brings in from
    outside the picture is its reflection; else it is black, too."""

    crop_scale: tuple[PositiveFraction, PositiveFraction] = (1.0, 1.0)
    """Smallest and largest crop, drawn uniformly, as a fraction of what CROP_BY names; 1.0 of the
    side of a 640x480 video is the paper's 480x480 crop. Its place is random."""

    crop_by: Literal["side", "area"] = "side"
    """``side``: CROP_SCALE is a fraction of the picture's short side. ``area``: of its area, as
    [0.08, 1] with an ASPECT_RATIO of [0.75, 1.3333] is usual for ImageNet."""

    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    """Smallest and largest width of the crop divided by its height, drawn uniformly in their
    logarithm; the crop is stretched to the square that the network sees."""

    rotation: Degrees = 0.0
    """Largest rotation about the middle of the crop, in degrees, to either side."""

    flip: Fraction = 0.0
    """Probability of a horizontal flip."""

    flip_labels: tuple[tuple[str, str], ...] = ()
    """Pairs of class names that a flip turns into each other, for example [[left, right]]."""

    color_jitter: Fraction = 0.0
    """Largest relative change of brightness, contrast and saturation, each drawn for itself; 0.4
    is usual for ImageNet."""

    aa_type: str = ""
    """RandAugment in timm's words, such as rand-m9-mstd0.5-inc1, the same for all frames of a clip;
    PySlowFast's MViT takes rand-m7-n4-mstd0.5-inc1. Empty is without. It flips nothing, but turns
    and shifts."""

    re_prob: Fraction = 0.0
    """Probability of random erasing: a box of noise, the same in all frames; 0.25 in PySlowFast's
    MViT."""

    re_count: PositiveInt = 1
    """Boxes that are erased."""

    num_sample: PositiveInt = 1
    """Repeated augmentation: clips that are drawn of each video while it is open; a step then has
    so many times TRAIN.BATCH_SIZE clips."""

    drop_frames: Fraction = 0.0
    """Share of the frames of a clip that are lost, in [0, 1], each on its own: the one before it
    stays for longer."""

    def __post_init__(self) -> None:
        if self.aa_type:
            parse_policy(self.aa_type)
        for name in ("crop_scale", "aspect_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(
                    f"{name.upper()} must be [smallest, largest], got [{low:g}, {high:g}]"
                )
