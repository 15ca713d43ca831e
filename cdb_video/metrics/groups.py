"""Groups of classes by how many training samples they have."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt


def group_classes(
    counts: npt.ArrayLike,
    thresholds: Sequence[int] | Literal["mean"],
    names: Sequence[str],
) -> list[str]:
    """Name of the group of each class, ``(K,)``.

    A class is in group i if its count is more than ``thresholds[i - 1]`` and not more than
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
