"""Confidence intervals of metrics, and of differences between two models on the same clips."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from cdb_video.metrics.checks import IntArray, check_labels

LEVEL = 0.95
RESAMPLES = 1000
MOST_DRAWS = 20_000_000
"""Clips that are drawn in all; of larger sets there are fewer resamples, at least 100."""
Interval = tuple[float, float]


def wilson(right: int, count: int) -> Interval | None:
    """The 95 % interval of a share (Wilson, 1927), by scipy; None without samples."""
    if not count:
        return None
    found = binomtest(right, count).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def bootstrap_intervals(
    target: npt.ArrayLike, prediction: npt.ArrayLike, num_classes: int, seed: int = 0
) -> dict[str, Interval]:
    """95 % percentile intervals of the means that ``classification_metrics`` gives.

    Clips are drawn with replacement within each true class, so each class keeps its number of clips
    (stratified bootstrap; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).

    Returns:
        ``top1, mean_class_recall, mean_class_precision, mean_class_f1`` -> (low, high).
    """
    target, prediction = check_labels(target, prediction, num_classes)
    rows = [_means(target[drawn], prediction[drawn], num_classes) for drawn in _draws(target, seed)]
    low, high = np.quantile(rows, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    names = ("top1", "mean_class_recall", "mean_class_precision", "mean_class_f1")
    return {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}


class Difference(NamedTuple):
    """One model against another on the same clips."""

    recall: float
    """Mean class recall of the second less that of the first."""
    interval: Interval
    """Its 95 % interval, by the stratified bootstrap over pairs."""
    only_first: int
    """Clips that the first alone recognises; ``only_second``, the second alone."""
    only_second: int
    p_value: float
    """Of McNemar's exact test, that either is as likely to be the one that is right."""


def paired_difference(
    target: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    num_classes: int,
    seed: int = 0,
) -> Difference:
    """Compares two predictions (N,) of the same clips."""
    labels, one = check_labels(target, first, num_classes)
    _, other = check_labels(target, second, num_classes)
    gain = (other == labels).astype(np.float64) - (one == labels)
    present = np.bincount(labels, minlength=num_classes)
    kept = present > 0

    def mean(drawn: IntArray) -> float:
        sums = np.bincount(labels[drawn], weights=gain[drawn], minlength=num_classes)
        return float((sums[kept] / present[kept]).mean())

    means = [mean(drawn) for drawn in _draws(labels, seed)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    only_first, only_second = int((gain < 0).sum()), int((gain > 0).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    point = mean(np.arange(len(labels)))
    return Difference(point, (float(low), float(high)), only_first, only_second, p_value)


class Bin(NamedTuple):
    """The clips whose scores lie in one bin of [0, 1]."""

    count: int  # type: ignore[assignment]  # the field hides tuple.count on purpose
    score: float
    """Their mean."""
    accuracy: float
    """Share of them that are right."""


def calibration(
    scores: npt.ArrayLike, right: npt.ArrayLike, num_bins: int = 15
) -> tuple[float, list[Bin]]:
    """Expected calibration error, and the bins that are not empty.

    The mean gap between score and accuracy over bins of equal width, weighted by their clips
    (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

    Args:
        scores: (N,) probability of the predicted class; ``right`` (N,) whether it is the true one.
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    place = np.clip(np.ceil(values * num_bins).astype(int) - 1, 0, num_bins - 1)
    bins = [
        Bin(len(mine), float(values[mine].mean()), float(hits[mine].mean()))
        for mine in (np.flatnonzero(place == number) for number in range(num_bins))
        if len(mine)
    ]
    gap = sum(one.count * abs(one.score - one.accuracy) for one in bins)
    return float(gap / max(1, len(values))), bins


def _draws(target: IntArray, seed: int) -> Iterator[IntArray]:
    """Draws positions (N,) of clips, with replacement, within each class."""
    order = np.argsort(target, kind="stable")
    sorted_target = target[order]
    sizes = np.bincount(target)[sorted_target]
    starts = np.searchsorted(sorted_target, sorted_target, side="left")
    rng = np.random.default_rng(seed)
    for _ in range(max(100, min(RESAMPLES, MOST_DRAWS // len(target)))):
        inside = (rng.random(len(target)) * sizes).astype(np.int64)
        yield order[starts + inside]


def _means(target: IntArray, prediction: IntArray, num_classes: int) -> tuple[float, ...]:
    right = target == prediction
    hits = np.bincount(target[right], minlength=num_classes)
    present = np.bincount(target, minlength=num_classes)
    predicted = np.bincount(prediction[prediction >= 0], minlength=num_classes)
    kept = present > 0
    hits, present, predicted = hits[kept], present[kept], predicted[kept]
    precision = hits / np.maximum(predicted, 1)
    f1 = 2 * hits / (present + predicted)
    return float(right.mean()), float((hits / present).mean()), precision.mean(), f1.mean()
