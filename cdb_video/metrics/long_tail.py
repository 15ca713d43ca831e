"""Measures the tail of a data set: head length, few-shot length and imbalance."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Rounding = Literal["nearest", "reach", "within"]
FEW_SHOT = 20
"""Clips of a few-shot class at most, as in the definition of Perrett et al."""


class LongTail(NamedTuple):
    """Three numbers that say how long-tailed a data set is (Perrett et al., "Use
    Your Head: Improving Long-Tail Video Recognition", CVPR 2023)."""

    num_classes: int
    """K; classes without clips count."""
    num_clips: int
    """N."""
    head: int
    """Classes, largest first, that together hold half of the clips."""
    few_shot: int
    """Classes with at most ``FEW_SHOT`` clips; those without clips among them."""
    largest: int
    """Clips of the largest class."""
    smallest: int
    """Clips of the smallest class that has any."""

    @property
    def head_share(self) -> float:
        """H, in [0, 1]: ``head`` of the K classes."""
        return self.head / self.num_classes

    @property
    def few_shot_share(self) -> float:
        """F, in [0, 1]: ``few_shot`` of the K classes."""
        return self.few_shot / self.num_classes

    @property
    def imbalance(self) -> float:
        """I: clips of the largest class over those of the smallest that has any."""
        return self.largest / max(self.smallest, 1)


def by_size(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """``(K,)`` class ids, the largest class first; of equal classes the lower id."""
    return np.argsort(-np.asarray(counts, dtype=np.int64), kind="stable")


def head_length(counts: npt.ArrayLike, share: float = 0.5, rounding: Rounding = "nearest") -> int:
    """Classes, largest first, that together hold ``share`` of the clips.

    Args:
        counts: ``(K,)`` clips of each class.
        share: of all clips, in [0, 1].
        rounding: if no number of classes holds exactly ``share``, 'nearest' takes the nearest
            number (the smaller of two; this reproduces every figure of Perrett et al.), 'reach'
            the first that reaches it (as in Gen2Balance's lists), 'within' the last that does not
            exceed it.
    """
    held = np.concatenate([[0], np.cumsum(np.asarray(counts)[by_size(counts)])])
    wanted = share * held[-1]
    if rounding == "reach":
        return int(np.searchsorted(held, wanted, side="left"))
    if rounding == "within":
        return int(np.searchsorted(held, wanted, side="right")) - 1
    return int(np.abs(held - wanted).argmin())


def long_tail(
    counts: npt.ArrayLike, rounding: Rounding = "nearest", few_shot: int = FEW_SHOT
) -> LongTail:
    """The numbers of a data set with ``counts`` (K,) training clips.

    Raises:
        ValueError: there is no clip.
    """
    sizes = np.asarray(counts)
    if sizes.ndim != 1 or not (sizes > 0).any():
        raise ValueError(f"counts must be (K,) with a clip at least, got {sizes.tolist()!r:.100}")
    return LongTail(
        len(sizes),
        int(sizes.sum()),
        head_length(sizes, 0.5, rounding),
        int((sizes <= few_shot).sum()),
        int(sizes.max()),
        int(sizes[sizes > 0].min()),
    )
