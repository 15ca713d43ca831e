"""The metrics of EPIC-KITCHENS-100's challenge: verbs, nouns and pairs, on subsets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.metrics.groups import smallest_share
from cdb_video.metrics.ranks import ranks

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def pair_metrics(
    scores: Sequence[Scores],
    targets: Sequence[Labels],
    train_counts: Sequence[Labels],
    unseen: Flags | None = None,
) -> dict[str, dict[str, Any]]:
    """Shares of clips, not class means: top-1 and top-5 of verb, noun and action (both).

    The score of a pair is the product of its two scores. ``tail`` has the clips of the smallest
    classes, which together hold at most a fifth of the training clips; for actions, the verb or the
    noun must be one of these. ``unseen`` has the clips of participants without training clips.

    Args:
        scores: two, (N, V) and (N, M): probabilities of the parts of the classes.
        targets: two, (N,).
        train_counts: two, (V,) and (M,) training clips.
        unseen: (N,) bool; None if unknown.

    Returns:
        ``{all | tail | unseen: {num_samples: {...}, top1: {...}, top5: {...}}}`` with the keys
        first, second and pair; null for a subset without clips.
    """
    tails = [
        np.array(smallest_share(counts).groups)[target] == "tail"
        for counts, target in zip(train_counts, targets, strict=True)
    ]
    everything = np.ones(len(targets[0]), dtype=bool)
    subsets = {
        "all": (everything, everything, everything),
        "tail": (tails[0], tails[1], tails[0] | tails[1]),
    }
    if unseen is not None:
        subsets["unseen"] = (unseen, unseen, unseen)
    places = (*map(ranks, scores, targets), _pair_rank(scores, targets))
    names = ("first", "second", "pair")
    return {
        subset: {
            "num_samples": {n: int(f.sum()) for n, f in zip(names, flags, strict=True)},
            **{
                f"top{k}": {
                    n: _share(rank[f] < k) for n, rank, f in zip(names, places, flags, strict=True)
                }
                for k in (1, 5)
            },
        }
        for subset, flags in subsets.items()
    }


def _pair_rank(scores: Sequence[Scores], targets: Sequence[Labels]) -> Labels:
    """As ``ranks`` over all pairs, clip by clip, because there are tens of thousands of pairs."""
    first, second = scores
    pairs = targets[0] * second.shape[1] + targets[1]
    rows = (np.outer(a, b).reshape(1, -1) for a, b in zip(first, second, strict=True))
    return np.array(
        [int(ranks(row, pair[None])[0]) for row, pair in zip(rows, pairs, strict=True)], np.int64
    )


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None
