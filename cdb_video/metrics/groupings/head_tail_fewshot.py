"""Head, tail and few-shot classes (Perrett et al., CVPR 2023)."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from cdb_video.config.types import NonNegativeInt, PositiveFraction
from cdb_video.metrics.groups import Grouping, head_tail_fewshot
from cdb_video.registry import GROUPINGS


@GROUPINGS.register("head_tail_fewshot")
class HeadTailFewshot:
    """The classes that hold half of the clips, those with few, the others."""

    @dataclass(frozen=True)
    class Options:
        """Options of ``head_tail_fewshot``."""

        head_share: PositiveFraction = 0.5
        """Share of the clips that the head holds, in (0, 1]."""
        head_rounding: Literal["nearest", "reach", "within"] = "nearest"
        """What is taken where no number of classes holds just HEAD_SHARE. 'nearest' takes the
        number that comes nearest (Perrett et al.), 'reach' the first that reaches it (Gen2Balance),
        'within' the last that stays within it."""
        few_shot: NonNegativeInt = 20
        """Clips of the largest few-shot class. Gen2Balance takes 19."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def group(self, counts: npt.NDArray[Any], class_names: list[str]) -> Grouping:
        """The groups of classes with ``counts`` (K,) clips."""
        options = self.options
        return head_tail_fewshot(
            counts, options.head_share, options.head_rounding, options.few_shot
        )
