"""The contract of every registered sampler, and the deal to ranks."""

import numpy as np
import pytest
import torch

from cdb_video.data.samplers.base import shard
from cdb_video.registry import SAMPLERS

LABELS = np.array([0] * 12 + [1] * 7 + [3] * 4)


def build(name, seed=5):
    sampler = SAMPLERS.get(name)
    return sampler(sampler.Options(), labels=LABELS, num_classes=4, seed=seed)


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
        np.random.default_rng().random()
        torch.rand(1)
        sampler.indices(4)
        np.testing.assert_array_equal(sampler.indices(3), third)
        np.testing.assert_array_equal(build(name).indices(3), third)

    def test_what_it_observed_survives_a_checkpoint(self, name):
        sampler, resumed = build(name), build(name)
        sampler.observe(torch.tensor([0.9, 0.1, 0.0, 0.5]), torch.tensor([4, 4, 0, 2]))
        resumed.load_state_dict(sampler.state_dict())
        np.testing.assert_array_equal(resumed.indices(1), sampler.indices(1))


def test_shuffle_visits_every_record_once_in_a_new_order_each_epoch():
    sampler = build("shuffle")
    orders = [sampler.indices(epoch) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(len(LABELS)))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], build("shuffle", seed=6).indices(0))


@pytest.mark.parametrize("count", range(12))
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_without_padding_every_entry_goes_to_exactly_one_rank(count, world_size):
    order = np.random.default_rng(0).permutation(count)
    shards = [shard(order, rank, world_size, pad=False) for rank in range(world_size)]
    np.testing.assert_array_equal(np.sort(np.concatenate(shards)), np.arange(count))


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_with_padding_all_ranks_get_equally_many_and_every_entry_is_there(count, world_size):
    order = np.random.default_rng(0).permutation(count)
    shards = [shard(order, rank, world_size, pad=True) for rank in range(world_size)]
    assert len({len(part) for part in shards}) == 1
    assert sum(map(len, shards)) - count < world_size
    assert set(np.concatenate(shards)) == set(range(count))


def test_a_global_batch_is_the_same_records_for_any_number_of_ranks():
    order = np.random.default_rng(0).permutation(24)
    for step in range(4):
        batches = []
        for world_size in (1, 2, 3, 6):
            here = slice(step * 6 // world_size, (step + 1) * 6 // world_size)
            parts = [shard(order, rank, world_size, pad=True)[here] for rank in range(world_size)]
            batches.append(set(np.concatenate(parts)))
        assert all(batch == batches[0] for batch in batches)
