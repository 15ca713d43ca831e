"""Long-tailed subsets: the number of clips of each class, and the choice of clips."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from cdb_video.data.lists.imbalance import Profile, profile_shares

Integers = npt.NDArray[np.int64]


def sizes_by_profile(
    available: npt.ArrayLike, profile: Profile, ratio: float, largest: int = 0
) -> Integers:
    """``(K,)`` clips of each class. The order of the classes by size stays.

    The class with the most clips gets the most, and so on; the lower id comes first among equals. A
    class gets ``int(n * share)`` by the shares of ``profile``, at least 1 and at most all it has.
    'exponential' with all clips of the largest class gives Imbalanced-MiniKinetics200.

    Args:
        available: ``(K,)`` clips that there are, K >= 2.
        ratio: of the largest to the smallest class, >= 1.
        largest: n, clips of the largest class; 0 means all.
    """
    counts = np.asarray(available, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")
    most = min(largest or int(counts.max()), int(counts.max()))
    # A little is added, because 400 * 0.01 may be 3.9999.
    wanted = [int(most * share + 1e-9) for share in profile_shares(len(counts), profile, ratio)]
    sizes = np.zeros_like(counts)
    sizes[order] = np.maximum(wanted, 1)
    return np.minimum(sizes, counts)


def draw_clips(
    labels: Integers, sizes: Sequence[int], take: Literal["random", "first"], seed: int
) -> Integers:
    """Positions of ``sizes[c]`` clips of each class c, ascending.

    Args:
        labels: ``(N,)`` classes of all clips.
        sizes: ``(K,)``, at most the clips of each class.
        take: 'first' takes the first of each class in the list, as Imbalanced-MiniKinetics200.
        seed: of 'random'; the clips of one class do not depend on the sizes of others.
    """
    taken = []
    for label, size in enumerate(sizes):
        mine = np.flatnonzero(labels == label)
        if take == "random":
            mine = np.random.default_rng([seed, label]).permutation(mine)
        taken.append(mine[:size])
    return np.sort(np.concatenate(taken))
