"""Class sizes of imbalanced sets, against the numbers that others have published."""

from fractions import Fraction

import pytest

from cdb_video.data.lists.imbalance import profile_shares, sizes_by_largest, sizes_by_total

RELEASED = {200: (2, 9022), 100: (4, 10302), 50: (9, 11975), 20: (23, 15111), 10: (47, 18591)}
"""Ratio -> smallest class and sum in the CDB authors' CIFAR-100, of 475 images a class."""


def exponential(available, ratio, largest=0):
    shares = profile_shares(len(available), "exponential", ratio)
    return sizes_by_largest(available, shares, largest)


@pytest.mark.parametrize("ratio", RELEASED)
def test_the_released_cifar100_sets_have_the_released_sizes(ratio):
    sizes = exponential([475] * 100, ratio)
    assert (sizes[0], sizes[-1], sum(sizes)) == (475, *RELEASED[ratio])


@pytest.mark.parametrize(
    ("available", "smallest", "total"), [([500] * 100, 5, 10847), ([5000] * 10, 50, 12406)]
)
def test_the_common_cifar_sets_have_the_published_sizes(available, smallest, total):
    sizes = exponential(available, 100)
    assert (sizes[0], sizes[-1], sum(sizes)) == (available[0], smallest, total)


def test_an_exponential_falls_by_the_same_factor_each_time():
    sizes = exponential([10**9] * 5, 16)
    assert [round(size / sizes[-1], 6) for size in sizes] == [16, 8, 4, 2, 1]


def test_a_step_has_two_sizes_and_the_odd_class_is_large():
    assert sizes_by_largest([600] * 4, profile_shares(4, "step", 10), 0) == [600, 600, 60, 60]
    assert sizes_by_largest([600] * 5, profile_shares(5, "step", 10), 50) == [50, 50, 50, 5, 5]


def test_two_classes_are_the_same_by_either_profile():
    assert profile_shares(2, "exponential", 50) == profile_shares(2, "step", 50) == [1, 1 / 50]


def test_the_largest_class_is_what_every_class_can_follow():
    # The third class can give 30, which is half of 60; the bound of 100 is out of reach.
    assert sizes_by_largest([80, 90, 30], [1.0, 0.75, 0.5], 100) == [60, 45, 30]
    assert exponential([7, 5, 6], 1) == [5, 5, 5]


@pytest.mark.parametrize("ratio", [1, 3, 50, 100, 200])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_a_total_is_met_and_every_class_is_within_one_of_its_share(ratio, num_classes):
    shares = profile_shares(num_classes, "exponential", ratio)
    sizes = sizes_by_total(shares, 4999)
    assert sum(sizes) == 4999
    for size, share in zip(sizes, shares, strict=True):
        exact = 4999 * Fraction(share) / sum(map(Fraction, shares))
        assert abs(size - exact) < 1


def test_5000_images_of_two_classes_at_200_are_those_of_ren_et_al():
    # 0.995 of 5,000, Ren et al., ICML 2018
    assert sizes_by_total(profile_shares(2, "step", 200), 5000) == [4975, 25]
