"""The published numbers of long-tailed video sets, from their public class counts."""

import numpy as np
import pytest

from cdb_video.data.lists.imbalance import profile_shares
from cdb_video.data.lists.long_tail import draw_clips, sizes_by_profile
from cdb_video.metrics.groups import (
    by_thresholds,
    head_tail_fewshot,
    smallest_share,
)
from cdb_video.metrics.long_tail import head_length, long_tail
from cdb_video.registry import GROUPINGS

# The training clips of SSv2-LT's classes, as the configuration of its authors' release lists them.
SSV2_LT = (
    188, 46, 15, 14, 20, 148, 1982, 13, 38, 61, 65, 113, 180, 6, 101, 978, 408, 117, 1085, 357,
    274, 27, 37, 23, 9, 6, 8, 759, 624, 469, 373, 655, 160, 22, 26, 25, 491, 566, 14, 16, 73,
    59, 68, 2099, 51, 2357, 241, 105, 39, 196, 24, 5, 5, 7, 6, 299, 1418, 24, 5, 55, 6, 7, 8, 8,
    7, 41, 70, 448, 515, 17, 8, 28, 142, 222, 341, 22, 9, 8, 5, 11, 29, 213, 81, 75, 31, 13,
    540, 594, 7, 18, 15, 7, 6, 2224, 1872, 17, 10, 19, 97, 839, 1144, 390, 93, 173, 204, 45,
    1498, 1273, 11, 2500, 16, 5, 687, 10, 1030, 10, 10, 19, 21, 32, 109, 63, 263, 87, 43, 798,
    42, 78, 29, 722, 231, 9, 13, 12, 166, 326, 5, 5, 6, 33, 154, 12, 11, 1206, 137, 312, 1673,
    131, 883, 929, 286, 1582, 252, 90, 36, 57, 20, 84, 12, 9, 428, 14, 34, 5, 1343, 53, 126,
    122, 50, 6, 30, 1769, 48, 18
)  # fmt: skip


def preset(name, counts):
    kind = GROUPINGS.get(name)
    return kind(kind.Options()).group(np.asarray(counts), [])


def in_groups(grouping):
    return {name: grouping.groups.count(name) for name in grouping.names}


def test_ssv2_lt():
    tail = long_tail(SSV2_LT)
    assert (tail.num_classes, tail.num_clips) == (174, 50_418)
    assert (tail.head, tail.few_shot, tail.imbalance) == (14, 57, 500)
    assert tail.head_share == pytest.approx(0.080, abs=5e-4)
    assert tail.few_shot_share == pytest.approx(0.328, abs=5e-4)
    assert [head_length(SSV2_LT, 0.5, rule) for rule in ("nearest", "reach", "within")] == [
        14,
        15,
        14,
    ]
    assert long_tail(SSV2_LT, few_shot=19).few_shot == 55
    assert in_groups(head_tail_fewshot(SSV2_LT)) == {"fewshot": 57, "tail": 103, "head": 14}
    assert in_groups(head_tail_fewshot(SSV2_LT, rounding="reach", few_shot=19)) == {
        "fewshot": 55,
        "tail": 104,
        "head": 15,
    }


@pytest.mark.parametrize(("rule", "head"), [("nearest", 14), ("reach", 15), ("within", 14)])
def test_the_option_says_how_the_head_is_rounded(rule, head):
    kind = GROUPINGS.get("head_tail_fewshot")
    found = kind(kind.Options(head_rounding=rule)).group(np.asarray(SSV2_LT), [])
    assert in_groups(found)["head"] == head


def test_ssv2_lt_is_near_a_pareto_curve():
    falling = np.sort(SSV2_LT)[::-1]
    curve = 2500 / (1 + np.arange(174) / 121) ** 7.1
    assert np.abs(np.log(falling / curve)).max() < 0.15


def test_cifar_100_lt():
    counts = [int(500 * (1 / 100) ** (c / 99)) for c in range(100)]
    tail = long_tail(counts)
    assert (tail.head, tail.few_shot, tail.imbalance) == (15, 31, 100)
    assert long_tail(counts, few_shot=19).few_shot == 30
    assert head_length(counts, rounding="within") == 14


@pytest.mark.parametrize(
    ("ratio", "total", "smallest", "groups"),
    [
        (100, 17_170, 3, (101, 86, 13)),
        (50, 19_995, 7, (84, 101, 15)),
        (20, 25_287, 19, (48, 133, 19)),
        (10, 31_152, 39, (3, 172, 25)),
    ],
)
def test_imbalanced_mini_kinetics200(ratio, total, smallest, groups):
    """399 of the largest class, whole numbers below the exponential curve."""
    sizes = sizes_by_profile([399] * 200, "exponential", ratio)
    assert (sizes.sum(), sizes.max(), sizes.min()) == (total, 399, smallest)
    found = in_groups(preset("mini_kinetics", sizes))
    assert tuple(found.values()) == groups


def test_thresholds_of_videolt_differ_by_classes_of_exactly_100_and_500_clips():
    sizes = [99, 100, 101, 499, 500, 501]
    assert preset("videolt", sizes).groups == [
        *["tail"] * 2,
        *["medium"] * 3,
        "head",
    ]
    assert preset("videolt_readme", sizes).groups == [
        "tail",
        *["medium"] * 3,
        *["head"] * 2,
    ]


def test_every_rule_says_its_numbers():
    assert by_thresholds([5, 7], "mean", ("rare", "common")).rule == (
        "common: more than the mean of 6.0 clips"
    )
    assert preset("head_medium_tail", SSV2_LT).rule == (
        "tail: at most 19 clips, medium: 20 to 100, head: more than 100"
    )
    assert "50% of the clips (nearest); fewshot: at most 20 clips" in head_tail_fewshot([3, 2]).rule


def test_a_head_may_be_few_shot_and_ties_go_to_the_lower_class():
    assert head_tail_fewshot([5, 5, 5, 5]).groups == ["head", "head", "fewshot", "fewshot"]
    assert head_length([1, 1, 1]) == 1
    with pytest.raises(ValueError, match="a clip at least"):
        long_tail([0, 0])


def test_the_tail_of_epic_leaves_out_what_has_no_clips():
    """The smallest classes that hold at most a fifth: 1 + 2 + 17 of 100, and not the empty one."""
    grouping = smallest_share([17, 60, 0, 1, 20, 2])
    assert grouping.groups == ["tail", "other", "other", "tail", "other", "tail"]


@pytest.mark.parametrize("profile", ["exponential", "step", "pareto"])
@pytest.mark.parametrize("ratio", [1, 50, 500])
def test_profiles_fall_from_one_to_the_ratio(profile, ratio):
    shares = profile_shares(11, profile, ratio)
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(1 / ratio)
    assert shares == sorted(shares, reverse=True)


def test_sizes_keep_the_order_of_the_classes_and_never_ask_for_more():
    sizes = sizes_by_profile([10, 300, 40], "exponential", 100, 200)
    assert sizes.tolist() == [2, 200, 20]
    assert sizes_by_profile([1, 300, 2], "step", 2).tolist() == [1, 300, 2]


def test_what_is_drawn_of_a_class_depends_on_the_seed_and_itself_alone():
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1] * 5)
    first = draw_clips(labels, [3, 2], "first", 0)
    assert first.tolist() == [0, 1, 2, 3, 4]
    one, other = draw_clips(labels, [5, 4], "random", 3), draw_clips(labels, [5, 9], "random", 3)
    assert [p for p in one if labels[p] == 0] == [p for p in other if labels[p] == 0]
    assert (np.bincount(labels[one]) == [5, 4]).all()
    assert draw_clips(labels, [5, 4], "random", 4).tolist() != one.tolist()
