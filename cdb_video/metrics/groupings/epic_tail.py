"""The tail of the challenge of EPIC-KITCHENS-100."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from cdb_video.metrics.groups import Grouping, smallest_share
from cdb_video.registry import GROUPINGS


@GROUPINGS.register("epic_tail")
class EpicTail:
    """The smallest classes that hold 20 % of the clips, and the others."""

    @dataclass(frozen=True)
    class Options:
        """There are none."""

    def __init__(self, options: Options) -> None:
        pass

    def group(self, counts: npt.NDArray[Any], class_names: list[str]) -> Grouping:
        """The groups of classes with ``counts`` (K,) clips."""
        return smallest_share(counts)
