"""Groups between thresholds of class size: your own, and those of published work."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy.typing as npt

from cdb_video.config.types import NonNegativeInt
from cdb_video.errors import ConfigError
from cdb_video.metrics.groups import Grouping, by_thresholds
from cdb_video.registry import GROUPINGS

Thresholds = tuple[int, ...] | Literal["mean"]


@GROUPINGS.register("by_thresholds")
class ByThresholds:
    """Groups between thresholds of your own."""

    @dataclass(frozen=True)
    class Options:
        """Options of ``by_thresholds``."""

        thresholds: tuple[NonNegativeInt, ...] | Literal["mean"] = "mean"
        """Class sizes between the groups, ascending. A class is above a threshold if it has more
        clips. 'mean' is one threshold at the mean class size."""
        names: tuple[str, ...] = ("minority", "majority")
        """Names of the groups, smallest classes first. There is one more than thresholds."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def group(self, counts: npt.NDArray[Any], class_names: list[str]) -> Grouping:
        """Raises ``ConfigError`` if thresholds and names do not fit together."""
        try:
            return by_thresholds(counts, self.options.thresholds, self.options.names)
        except ValueError as error:
            key = "GROUPS.BY_THRESHOLDS"
            raise ConfigError(f"{key}.THRESHOLDS, {key}.NAMES: {error}") from None


class Preset:
    """Groups between published thresholds."""

    thresholds: ClassVar[Thresholds]
    names: ClassVar[tuple[str, ...]] = ("tail", "medium", "head")

    @dataclass(frozen=True)
    class Options:
        """There are none."""

    def __init__(self, options: Options) -> None:
        pass

    def group(self, counts: npt.NDArray[Any], class_names: list[str]) -> Grouping:
        """The groups of classes with ``counts`` (K,) clips."""
        return by_thresholds(counts, self.thresholds, self.names)


@GROUPINGS.register("mean")
class Mean(Preset):
    """Minority and majority, below and above the mean class size."""

    thresholds = "mean"
    names = ("minority", "majority")


@GROUPINGS.register("head_medium_tail")
class HeadMediumTail(Preset):
    """More than 100 clips, 20 to 100, fewer (Liu et al., CVPR 2019)."""

    thresholds = (19, 100)


@GROUPINGS.register("videolt")
class VideoLT(Preset):
    """More than 500 clips, 101 to 500, fewer, as in VideoLT's code."""

    thresholds = (100, 500)


@GROUPINGS.register("videolt_readme")
class VideoLTReadme(Preset):
    """From 500 clips, from 100, fewer, as in VideoLT's README."""

    thresholds = (99, 499)


@GROUPINGS.register("mini_kinetics")
class MiniKinetics(Preset):
    """More than 300 clips, 41 to 300, fewer, as in Imbalanced-MiniKinetics200's code."""

    thresholds = (40, 300)
    names = ("few", "medium", "many")
