"""The options of random changes to training clips."""

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
    """Random changes to training clips, the same for all frames of a clip."""

    pad: NonNegativeInt = 0
    """Black border around the picture that the random crop may reach into, in pixels of a picture
    whose short side is DATA.CROP_SIZE. 4 is usual for CIFAR. With 0, a rotation brings in the
    reflection of the picture, otherwise black."""

    crop_scale: tuple[PositiveFraction, PositiveFraction] = (1.0, 1.0)
    """Smallest and largest crop as a fraction of what CROP_BY names, drawn uniformly. 1.0 of the
    side of a 640x480 video is the paper's 480x480 crop. Its place is random."""

    crop_by: Literal["side", "area"] = "side"
    """What CROP_SCALE is a fraction of. 'side' is the picture's short side. 'area' is its area, and
    [0.08, 1] with an ASPECT_RATIO of [0.75, 1.3333] is usual for ImageNet."""

    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    """Smallest and largest width of the crop divided by its height, drawn uniformly in their
    logarithm. The crop is stretched to the square that the network sees."""

    rotation: Degrees = 0.0
    """Largest rotation to either side about the middle of the crop, in degrees."""

    flip: Fraction = 0.0
    """Probability of a horizontal flip."""

    flip_labels: tuple[tuple[str, str], ...] = ()
    """Pairs of class names that a flip turns into each other, for example [[left, right]]."""

    color_jitter: Fraction = 0.0
    """Largest relative change of brightness, contrast and saturation. Each is drawn by itself. 0.4
    is usual for ImageNet."""

    aa_type: str = ""
    """RandAugment in timm's words, such as rand-m9-mstd0.5-inc1. All frames of a clip change alike.
    PySlowFast's MViT takes rand-m7-n4-mstd0.5-inc1. It turns and shifts, but does not flip. Empty
    is off."""

    re_prob: Fraction = 0.0
    """Probability of random erasing: a box of the same noise at the same place in all frames.
    PySlowFast's MViT takes 0.25, and draws other noise for each frame."""

    re_count: PositiveInt = 1
    """Boxes that are erased."""

    num_sample: PositiveInt = 1
    """Repeated augmentation: clips that are drawn of each video while it is open. A step has as
    many times TRAIN.BATCH_SIZE clips."""

    drop_frames: Fraction = 0.0
    """Share of the frames of a clip that are lost, in [0, 1]. The frame before a lost one stays for
    longer."""

    def __post_init__(self) -> None:
        if self.aa_type:
            parse_policy(self.aa_type)
        for name in ("crop_scale", "aspect_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(
                    f"{name.upper()} must be [smallest, largest], got [{low:g}, {high:g}]"
                )
