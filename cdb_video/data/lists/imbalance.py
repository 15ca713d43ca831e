"""Class sizes of imbalanced sets."""

from collections.abc import Sequence
from typing import Literal

Profile = Literal["exponential", "step", "pareto"]
PARETO_ALPHA = 6.0
"""Exponent of 'pareto': that of ImageNet-LT, as Perrett et al. give it for theirs."""


def profile_shares(num_classes: int, profile: Profile, ratio: float) -> list[float]:
    """``(K,)`` class sizes as fractions of the largest, which comes first, K >= 2.

    'exponential' falls as ``ratio ** (-c / (K - 1))`` (Cui et al., CVPR 2019). 'step' is 1 for the
    first half of the classes, rounded up, and ``1 / ratio`` for the others (Buda et al., Neural
    Networks 2018). With two classes both are equal. 'pareto' falls as ``(1 + c / s) ** -alpha``,
    where the scale s gives the last class ``1 / ratio``: fast at first, slowly along the tail.
    """
    if profile == "pareto":
        last = num_classes - 1
        # (1 + last / s) ** -alpha = 1 / ratio; equal classes for a ratio of 1.
        growth = (ratio ** (1 / PARETO_ALPHA) - 1) / last
        return [(1 + rank * growth) ** -PARETO_ALPHA for rank in range(num_classes)]
    if profile == "step":
        num_small = num_classes // 2
        return [1.0] * (num_classes - num_small) + [1 / ratio] * num_small
    return [(1 / ratio) ** (rank / (num_classes - 1)) for rank in range(num_classes)]


def sizes_by_largest(available: Sequence[int], shares: Sequence[float], largest: int) -> list[int]:
    """``(K,)`` class sizes ``int(n * share)`` with the largest n that the classes can give.

    Args:
        available: ``(K,)`` samples of each class that there are.
        shares: ``(K,)`` in (0, 1].
        largest: upper bound of n; 0 means no bound.
    """
    most = min(int(count / share) for count, share in zip(available, shares, strict=True))
    if largest:
        most = min(most, largest)
    return [int(most * share) for share in shares]


def sizes_by_total(shares: Sequence[float], total: int) -> list[int]:
    """``(K,)`` class sizes in proportion to ``shares``, rounded so that their sum is ``total``."""
    exact = [total * share / sum(shares) for share in shares]
    sizes = [int(size) for size in exact]
    by_remainder = sorted(range(len(exact)), key=lambda c: sizes[c] - exact[c])
    for c in by_remainder[: total - sum(sizes)]:
        sizes[c] += 1
    return sizes
