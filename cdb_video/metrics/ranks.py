"""The rank of the true class, with one rule for equal scores."""

from typing import Any

import numpy as np
import numpy.typing as npt


def ranks(
    scores: npt.NDArray[np.floating[Any]], target: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(N,) number of classes ahead of the true one. Among equal scores (N, K) the lower id leads.

    So it is 0 just where ``argmax`` gives the true class, and top-k is never below top-1.
    """
    own = np.take_along_axis(scores, target[:, None], axis=1)
    ids = np.arange(scores.shape[1])
    ahead = (scores > own) | ((scores == own) & (ids < target[:, None]))
    found: npt.NDArray[np.int64] = ahead.sum(axis=1)
    return found
