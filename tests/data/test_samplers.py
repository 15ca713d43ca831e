"""The contract of every registered sampler, what each draws, and the deal to ranks."""

import io
import math

import numpy as np
import pytest
import torch

from cdb_video.data.samplers.base import repeat_numbers, shard_of_rank, systematic_counts
from cdb_video.registry import SAMPLERS

LABELS = np.array([0] * 12 + [1] * 7 + [3] * 4)
COUNTS = np.bincount(LABELS)
RECALL = torch.tensor([0.9, 0.1, float("nan"), 0.5])
VALIDATION_COUNTS = torch.tensor([4, 4, 0, 2])


def build(name, seed=5, *, labels=LABELS, num_classes=4, num_epochs=4, **options):
    sampler = SAMPLERS.get(name)
    return sampler(
        sampler.Options(**options),
        labels=np.asarray(labels),
        num_classes=num_classes,
        seed=seed,
        num_epochs=num_epochs,
    )


def shares(sampler, epochs):
    """(K,) how often each class is drawn, of all draws of ``epochs``."""
    drawn = np.concatenate([sampler.labels[sampler.indices(epoch)] for epoch in epochs])
    return np.bincount(drawn, minlength=sampler.num_classes) / len(drawn)


@pytest.mark.parametrize("name", SAMPLERS.names())
class TestContract:
    def test_an_epoch_is_a_list_of_records_of_the_stated_length(self, name):
        sampler = build(name)
        for epoch in range(3):
            order = sampler.indices(epoch)
            assert order.dtype == np.int64
            assert order.shape == (len(sampler),)
            assert order.min() >= 0
            assert order.max() < len(LABELS)

    def test_the_order_depends_on_seed_and_epoch_only(self, name):
        sampler = build(name)
        third = sampler.indices(3)
        torch.rand(1)
        sampler.indices(4)
        np.testing.assert_array_equal(sampler.indices(3), third)
        np.testing.assert_array_equal(build(name).indices(3), third)

    def test_another_epoch_or_seed_is_another_order(self, name):
        sampler = build(name)
        assert not np.array_equal(sampler.indices(1), sampler.indices(2))
        assert not np.array_equal(sampler.indices(1), build(name, seed=6).indices(1))

    def test_what_it_observed_survives_a_checkpoint(self, name):
        sampler, resumed = build(name), build(name)
        for _ in range(2):
            sampler.observe(RECALL, VALIDATION_COUNTS)
        file = io.BytesIO()
        torch.save(sampler.state_dict(), file)
        file.seek(0)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        np.testing.assert_array_equal(resumed.indices(1), sampler.indices(1))
        for one in (sampler, resumed):
            one.observe(torch.tensor([0.2, 0.9, 0.0, 0.3]), VALIDATION_COUNTS)
        np.testing.assert_array_equal(resumed.indices(2), sampler.indices(2))

    @pytest.mark.parametrize("world_size", [1, 2, 3])
    def test_the_ranks_together_take_the_order_and_equally_many_steps(self, name, world_size):
        order = build(name).indices(2)
        ranks = [
            shard_of_rank(build(name).indices(2), rank, world_size, pad=True)
            for rank in range(world_size)
        ]
        assert len({len(part) for part in ranks}) == 1
        together = np.stack(ranks, axis=1).ravel()
        np.testing.assert_array_equal(together[: len(order)], order)
        assert len(together) - len(order) < world_size

    def test_every_class_is_drawn_whatever_validation_found_unless_it_is_perfect(self, name):
        sampler = build(name)
        for recall in (torch.ones(4), RECALL, torch.zeros(4)):
            drawn = np.concatenate([sampler.indices(epoch) for epoch in range(1, 30)])
            assert set(LABELS[drawn]) == {0, 1, 3}
            sampler.observe(recall, VALIDATION_COUNTS)

    @pytest.mark.parametrize("recall", [0.0, 1.0])
    @pytest.mark.parametrize("labels", [[0], [2], [1] * 5, [0, 3], list(range(4))])
    def test_small_sets_have_whole_epochs(self, name, labels, recall):
        sampler = build(name, labels=labels)
        for epoch in range(4):
            assert set(sampler.indices(epoch)) == set(range(len(labels)))
            assert len(sampler.indices(epoch)) == len(sampler)
            sampler.observe(torch.full((4,), recall), torch.full((4,), 3))

    def test_one_class_is_a_shuffle(self, name):
        sampler = build(name, labels=[0] * 9, num_classes=1)
        np.testing.assert_array_equal(np.sort(sampler.indices(1)), np.arange(9))


def test_shuffle_visits_every_record_once_in_a_new_order_each_epoch():
    sampler = build("shuffle")
    orders = [sampler.indices(epoch) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(len(LABELS)))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], build("shuffle", seed=6).indices(0))


def progressive(epoch, num_epochs=4):
    t = epoch / num_epochs
    return [(1 - t) * 12 / 23 + t / 3, (1 - t) * 7 / 23 + t / 3, 0, (1 - t) * 4 / 23 + t / 3]


def by_difficulty(tau):
    """The paper's probabilities after RECALL; the class without validation clips has no records."""
    hard = [0.1**tau, 0.9**tau, 0, 0.5**tau]
    return [part / math.fsum(hard) for part in hard]


DYNAMIC = 2 / (1 + math.exp(-(0.9 / (0.1 + 0.01) - 1)))


@pytest.mark.parametrize(
    ("name", "options", "epoch", "expected"),
    [
        ("class_balanced", {}, 1, [1 / 3, 1 / 3, 0, 1 / 3]),
        (
            "square_root",
            {},
            1,
            [math.sqrt(n) / (math.sqrt(12) + math.sqrt(7) + 2) for n in COUNTS],
        ),
        ("progressive", {}, 0, [12 / 23, 7 / 23, 0, 4 / 23]),
        ("progressive", {}, 1, progressive(1)),
        ("progressive", {}, 3, progressive(3)),
        ("progressive", {}, 4, [1 / 3, 1 / 3, 0, 1 / 3]),
        ("progressive", {}, 9, [1 / 3, 1 / 3, 0, 1 / 3]),
        ("cdb_s", {"tau": 1.5}, 1, by_difficulty(1.5)),
        ("cdb_s", {"tau": 0.0}, 1, [1 / 3, 1 / 3, 0, 1 / 3]),
        ("cdb_s", {}, 1, by_difficulty(DYNAMIC)),
        ("cdb_s", {"tau_max": 0.5}, 1, by_difficulty(0.5)),
        ("cdb_s", {"warmup_epochs": 2}, 1, [1 / 3, 1 / 3, 0, 1 / 3]),
        ("cdb_s", {"min_weight": 1.0}, 1, [1 / 3, 1 / 3, 0, 1 / 3]),
    ],
)
def test_classes_are_drawn_as_often_as_the_formula_says(name, options, epoch, expected):
    drawn = []
    for seed in range(300):
        sampler = build(name, seed=seed, **options)
        sampler.observe(RECALL, VALIDATION_COUNTS)
        drawn.append(len(sampler) * shares(sampler, [epoch]))
        # An epoch as a whole is as near to the formula as whole numbers allow.
        assert np.all(np.abs(drawn[-1] - len(sampler) * np.array(expected)) < 1 + 1e-4)
    # A rounding up or down has a standard deviation of at most 1/2: 5 of its 300-fold mean.
    np.testing.assert_allclose(
        np.mean(drawn, axis=0), len(LABELS) * np.array(expected), atol=5 * 0.5 / math.sqrt(300)
    )
    np.testing.assert_allclose(sampler.probabilities(epoch), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["class_balanced", "square_root", "cdb_s"])
def test_a_class_shows_all_its_clips_before_one_comes_again(name):
    sampler = build(name)
    for epoch in range(1, 4):
        order = sampler.indices(epoch)
        for label, count in ((0, 12), (1, 7), (3, 4)):
            drawn = order[LABELS[order] == label]
            for begin in range(0, len(drawn), count):
                round_ = drawn[begin : begin + count]
                assert len(set(round_)) == len(round_)


def test_over_many_epochs_the_clips_of_a_class_are_seen_equally_often():
    sampler = build("class_balanced")
    seen = np.bincount(np.concatenate([sampler.indices(epoch) for epoch in range(600)]))
    means = np.repeat([23 / 3 / 12, 23 / 3 / 7, 23 / 3 / 4], [12, 7, 4])
    np.testing.assert_allclose(seen / 600, means, atol=0.11)  # 5 standard deviations


def test_before_any_validation_difficulty_sampling_is_class_balanced():
    np.testing.assert_allclose(build("cdb_s").probabilities(1), [1 / 3, 1 / 3, 0, 1 / 3])


def test_a_perfect_class_is_not_drawn_unless_min_weight_keeps_it():
    for min_weight, expected in ((0.0, 0), (0.5, 1)):
        sampler = build("cdb_s", tau=1.0, min_weight=min_weight)
        sampler.observe(torch.tensor([1.0, 0.2, 0.2, 0.2]), torch.full((4,), 5))
        assert (shares(sampler, range(1, 9))[0] > 0) == expected


def test_a_class_without_clips_but_hard_to_recognise_takes_nothing_from_the_others():
    sampler = build("cdb_s", tau=1.0)
    sampler.observe(torch.tensor([1.0, 1.0, 0.0, 1.0]), torch.full((4,), 5))
    np.testing.assert_allclose(sampler.probabilities(2), [1 / 3, 1 / 3, 0, 1 / 3])


def test_repeat_factors_are_those_of_the_paper():
    threshold = 0.4
    factors = [max(1.0, math.sqrt(threshold / (n / 23))) if n else 0 for n in COUNTS]
    assert factors[0] == 1
    assert 1 < factors[1] < factors[3] < 2
    sampler = build("repeat_factor", threshold=threshold)
    exact = math.fsum(n * r for n, r in zip(COUNTS, factors, strict=True))
    assert len(sampler) == math.floor(exact)
    orders = [sampler.indices(epoch) for epoch in range(400)]
    for order in orders:
        times = np.bincount(order, minlength=23)
        assert np.all(times[:12] == 1)
        assert set(times[12:]) <= {1, 2}
    seen = np.mean([np.bincount(order, minlength=23) for order in orders], axis=0)
    extra = math.floor(exact - 23) / (exact - 23)  # what rounding the length down leaves
    expected = 1 + (np.array(factors)[LABELS] - 1) * extra
    np.testing.assert_allclose(seen, expected, atol=5 * 0.5 / math.sqrt(400))


def test_repeat_factors_may_be_large_and_whole():
    sampler = build("repeat_factor", labels=[0] * 96 + [1] * 4, num_classes=2, threshold=1.0)
    # sqrt(1 / 0.04) = 5, and sqrt(1 / 0.96) of the others
    times = np.bincount(sampler.indices(1))
    assert set(times[96:]) == {5}
    assert len(sampler) == 20 + math.floor(96 * math.sqrt(1 / 0.96))


def test_below_its_threshold_repeat_factor_repeats_nothing():
    order = build("repeat_factor").indices(1)
    np.testing.assert_array_equal(np.sort(order), np.arange(23))


def test_repeats_are_numbered_in_the_order_they_come():
    assert repeat_numbers(np.array([4, 0, 4, 4, 2, 0])).tolist() == [0, 0, 1, 2, 0, 1]
    assert repeat_numbers(np.array([], dtype=np.int64)).tolist() == []
    assert not repeat_numbers(np.random.default_rng(0).permutation(50)).any()


def test_rounded_counts_keep_their_sum_and_their_mean():
    rng = np.random.default_rng(0)
    expected = np.array([0.0, 2.5, 0.2, 1.0, 0.3, 7.0, 0.0])
    drawn = np.array([systematic_counts(expected, 11, rng) for _ in range(2000)])
    assert set(drawn.sum(1)) == {11}
    assert np.all(np.abs(drawn - expected) < 1 + 1e-9)
    assert not drawn[:, expected == 0].any()
    np.testing.assert_allclose(drawn.mean(0), expected, atol=5 * 0.5 / math.sqrt(2000))


@pytest.mark.parametrize("count", range(12))
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_without_padding_every_entry_goes_to_exactly_one_rank(count, world_size):
    order = np.random.default_rng(0).permutation(count)
    shards = [shard_of_rank(order, rank, world_size, pad=False) for rank in range(world_size)]
    np.testing.assert_array_equal(np.sort(np.concatenate(shards)), np.arange(count))


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_with_padding_all_ranks_get_equally_many_and_every_entry_is_there(count, world_size):
    order = np.random.default_rng(0).permutation(count)
    shards = [shard_of_rank(order, rank, world_size, pad=True) for rank in range(world_size)]
    assert len({len(part) for part in shards}) == 1
    assert sum(map(len, shards)) - count < world_size
    assert set(np.concatenate(shards)) == set(range(count))


def test_a_global_batch_is_the_same_records_for_any_number_of_ranks():
    order = np.random.default_rng(0).permutation(24)
    for step in range(4):
        batches = []
        for world_size in (1, 2, 3, 6):
            here = slice(step * 6 // world_size, (step + 1) * 6 // world_size)
            parts = [
                shard_of_rank(order, rank, world_size, pad=True)[here] for rank in range(world_size)
            ]
            batches.append(set(np.concatenate(parts)))
        assert all(batch == batches[0] for batch in batches)
