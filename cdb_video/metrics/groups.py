"""Groups of classes by how many training samples they have."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.metrics.long_tail import FEW_SHOT, Rounding, by_size, head_length


class Grouping(NamedTuple):
    """The groups of classes."""

    groups: list[str]
    """(K,) the name of each class's group."""
    names: tuple[str, ...]
    """Every group, smallest classes first."""
    rule: str
    """What makes a class a member of which, with its numbers."""


def group_classes(
    counts: npt.ArrayLike,
    thresholds: Sequence[int] | Literal["mean"],
    names: Sequence[str],
) -> list[str]:
    """Name of the group of each class, ``(K,)``.

    A class is in group i if its count is above ``thresholds[i - 1]`` and at most
    ``thresholds[i]``. On the 19 verbs of EGTEA Gaze+ (official train split 1), ``"mean"`` and
    ``(600,)`` both give the 5 majority and 14 minority classes of Sinha et al. (ACCV 2020).

    Args:
        counts: training samples of each class, ``(K,)``.
        thresholds: counts, ascending; or ``"mean"``: the one threshold N / K.
        names: the groups from the rarest to the most frequent, one more than there are
            thresholds: ``("minority", "majority")``, ``("few", "medium", "many")``.

    Raises:
        ValueError: if the thresholds do not ascend, or their number does not fit the names.
    """
    count_array = np.asarray(counts)
    if count_array.ndim != 1 or count_array.size == 0:
        raise ValueError(f"counts must have the shape (K,), K >= 1, got {count_array.shape}")
    if isinstance(thresholds, str):
        if thresholds != "mean":
            raise ValueError(f"thresholds must be counts or 'mean', got {thresholds!r}")
        bounds = [float(count_array.mean())]
    else:
        bounds = [float(threshold) for threshold in thresholds]
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError(f"thresholds must ascend, got {list(thresholds)}")
    if len(names) != len(bounds) + 1 or len(set(names)) != len(names):
        raise ValueError(
            f"names must be {len(bounds) + 1} different names for {len(bounds)} thresholds, "
            f"got {list(names)}"
        )
    return [names[i] for i in np.searchsorted(bounds, count_array, side="left")]


def by_thresholds(
    counts: npt.ArrayLike, thresholds: Sequence[int] | Literal["mean"], names: Sequence[str]
) -> Grouping:
    """As ``group_classes``, with a description of the rule."""
    groups = group_classes(counts, thresholds, names)
    if isinstance(thresholds, str):
        mean = float(np.asarray(counts).mean())
        return Grouping(groups, tuple(names), f"{names[1]}: more than the mean of {mean:.1f} clips")
    parts = [f"{names[0]}: at most {thresholds[0]} clips"] if thresholds else []
    for name, low, high in zip(names[1:], thresholds, [*thresholds[1:], None], strict=False):
        parts.append(f"{name}: {f'{low + 1} to {high}' if high else f'more than {low}'}")
    return Grouping(groups, tuple(names), ", ".join(parts))


def head_tail_fewshot(
    counts: npt.ArrayLike,
    share: float = 0.5,
    rounding: Rounding = "nearest",
    few_shot: int = FEW_SHOT,
) -> Grouping:
    """Head, tail and few-shot classes as in Perrett et al. (CVPR 2023).

    The head holds ``share`` of the clips (see ``head_length``). Other classes with at most
    ``few_shot`` clips are few-shot. The rest is the tail.
    """
    sizes = np.asarray(counts)
    groups = np.where(sizes <= few_shot, "fewshot", "tail").astype(object)
    groups[by_size(sizes)[: head_length(sizes, share, rounding)]] = "head"
    rule = (
        f"head: the largest classes that hold {share:.0%} of the clips ({rounding}); fewshot: at "
        f"most {few_shot} clips; tail: the others"
    )
    return Grouping(groups.tolist(), ("fewshot", "tail", "head"), rule)


def smallest_share(counts: npt.ArrayLike, share: float = 0.2) -> Grouping:
    """Tail classes as in the challenge of EPIC-KITCHENS-100: the smallest that together hold at
    most ``share`` of the clips. A class without clips is in no tail list, and not in this tail."""
    sizes = np.asarray(counts)
    rising = by_size(sizes)[::-1]
    tail = rising[np.cumsum(sizes[rising]) <= share * sizes.sum()]
    groups = np.full(len(sizes), "other", dtype=object)
    groups[tail[sizes[tail] > 0]] = "tail"
    rule = f"tail: the smallest classes with clips that together hold at most {share:.0%} of them"
    return Grouping(groups.tolist(), ("tail", "other"), rule)
