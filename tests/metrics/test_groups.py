"""Groups of classes by training count."""

import pytest

from cdb_video.metrics import group_classes

# EGTEA Gaze+, 19 verbs, clips in official train split 1.
EGTEA_COUNTS = [
    *(602, 1034, 1868, 845, 204, 1731, 189, 400, 335, 358),
    *(90, 90, 153, 62, 108, 139, 32, 30, 29),
]
EGTEA_MAJORITY = [0, 1, 2, 3, 5]  # Inspect/Read, Open, Take, Cut, Put


@pytest.mark.parametrize("thresholds", ["mean", (600,)])
def test_egtea_has_5_majority_and_14_minority_verbs(thresholds):
    assert sum(EGTEA_COUNTS) == 8299
    groups = group_classes(EGTEA_COUNTS, thresholds, ("minority", "majority"))
    assert [c for c, group in enumerate(groups) if group == "majority"] == EGTEA_MAJORITY
    assert groups.count("minority") == 14


def test_a_count_on_the_threshold_is_in_the_rarer_group():
    counts = [0, 19, 20, 21, 100, 101]
    expected = ["few", "few", "few", "medium", "medium", "many"]
    assert group_classes(counts, (20, 100), ("few", "medium", "many")) == expected


def test_equal_counts_are_none_above_their_mean():
    assert group_classes([7, 7, 7], "mean", ("minority", "majority")) == ["minority"] * 3


def test_no_threshold_is_one_group():
    assert group_classes([1, 2], (), ("all",)) == ["all", "all"]


@pytest.mark.parametrize(
    ("counts", "thresholds", "names", "message"),
    [
        ([1, 2], (5,), ("a",), "2 different names for 1 thresholds"),
        ([1, 2], "mean", ("a", "b", "c"), "2 different names for 1 thresholds"),
        ([1, 2], (5,), ("a", "a"), "2 different names"),
        ([1, 2], (9, 5), ("a", "b", "c"), r"must ascend, got \[9, 5\]"),
        ([1, 2], (5, 5), ("a", "b", "c"), "must ascend"),
        ([1, 2], "median", ("a", "b"), "counts or 'mean', got 'median'"),
        ([], (5,), ("a", "b"), r"K >= 1, got \(0,\)"),
    ],
)
def test_wrong_input_is_one_line(counts, thresholds, names, message):
    with pytest.raises(ValueError, match=message):
        group_classes(counts, thresholds, names)
