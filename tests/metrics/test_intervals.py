"""Intervals against other ways to the same numbers."""

import numpy as np
import pytest
from scipy.stats import norm

from cdb_video.metrics import classification_metrics
from cdb_video.metrics.intervals import (
    bootstrap_intervals,
    calibration,
    paired_difference,
    wilson,
)

MEANS = ("top1", "mean_class_recall", "mean_class_precision", "mean_class_f1")


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def predictions(rng, counts, skills):
    target = np.repeat(np.arange(len(counts)), counts)
    knows = rng.random(len(target)) < np.array(skills)[target]
    return target, np.where(knows, target, rng.integers(0, len(counts), len(target)))


@pytest.mark.parametrize(("right", "count"), [(0, 5), (5, 5), (3, 10), (480, 1000)])
def test_wilson_is_the_formula(right, count):
    z, p = norm.ppf(0.975), right / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    width = z * np.sqrt(p * (1 - p) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    assert wilson(right, count) == pytest.approx((centre - width, centre + width), abs=1e-9)
    assert wilson(0, 0) is None


def test_bootstrap_of_recall_has_the_width_that_binomials_have(rng):
    counts, skills = [400, 100, 30, 9], [0.9, 0.6, 0.4, 0.5]
    target, prediction = predictions(rng, counts, skills)
    low, high = bootstrap_intervals(target, prediction, 4)["mean_class_recall"]
    recalls = [(prediction[target == c] == c).mean() for c in range(4)]
    spread = np.sqrt(sum(r * (1 - r) / n for r, n in zip(recalls, counts, strict=True))) / 4
    assert high - low == pytest.approx(2 * norm.ppf(0.975) * spread, rel=0.1)


def test_means_lie_within_their_intervals_and_absent_classes_do_not_count(rng):
    target, prediction = predictions(rng, [50, 0, 20, 3], [0.8, 0, 0.5, 0.7])
    prediction[::9] = -1
    found = bootstrap_intervals(target, prediction, 5)
    metrics = classification_metrics(target, prediction, 5)
    for name in MEANS:
        assert found[name][0] <= metrics[name] <= found[name][1]
    assert found == bootstrap_intervals(target, prediction, 5)
    perfect = bootstrap_intervals(target, target, 5)
    assert set(perfect.values()) == {(1.0, 1.0)}


def test_a_difference_of_pairs_is_surer_than_of_means(rng):
    target, one = predictions(rng, [300, 60, 40], [0.7, 0.5, 0.4])
    other = one.copy()
    wrong = np.flatnonzero((one != target) & (target == 2))
    other[wrong[:12]] = 2
    found = paired_difference(target, one, other, 3)
    assert found.recall == pytest.approx(12 / 40 / 3)
    assert (found.only_first, found.only_second) == (0, 12)
    assert found.p_value == pytest.approx(2 * 0.5**12)
    assert 0 < found.interval[0] < found.recall < found.interval[1]
    alone = bootstrap_intervals(target, one, 3)["mean_class_recall"]
    assert np.diff(found.interval) < np.diff(alone)
    same = paired_difference(target, one, one, 3)
    assert (same.recall, same.interval, same.p_value) == (0, (0, 0), 1)
    back = paired_difference(target, other, one, 3)
    assert back.recall == -found.recall


def test_calibration_is_the_mean_gap(rng):
    scores = rng.random(4000)
    right = rng.random(4000) < scores
    error, bins = calibration(scores, right)
    assert error < 0.03
    assert sum(one.count for one in bins) == 4000
    error, bins = calibration(np.full(10, 0.95), np.arange(10) < 5)
    assert error == pytest.approx(0.45)
    assert bins == [(10, pytest.approx(0.95), 0.5)]
    # An edge belongs to the bin below it.
    assert [one.count for one in calibration([0.2, 0.200001, 1.0, 0.0], [1, 1, 1, 0], 5)[1]] == [
        *(2, 1, 1)
    ]
