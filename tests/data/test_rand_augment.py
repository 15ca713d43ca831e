"""RandAugment, erasing, repeated augmentation and lost frames: the same for all frames, by seed."""

import numpy as np
import pytest
import torch
from videos import write_video

from cdb_video.data.batches.clip_dataset import ClipDataset, Key
from cdb_video.data.batches.loading import Loading, Training
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.rand_augment import (
    OPERATIONS,
    Policy,
    erased,
    parse_policy,
    rand_augmented,
)
from cdb_video.data.frames.sampling import ClipSampling, without_some
from cdb_video.data.lists.records import Record
from cdb_video.data.samplers.base import Sampler
from cdb_video.errors import ConfigError


def frames(count=3, size=(24, 32)):
    """All alike, so that what differs between frames was not done to all."""
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    return np.repeat(picture[None], count, 0)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("rand-m9-mstd0.5-inc1", Policy(9, 2, 0.5)),
        ("rand-m7-n4-mstd0.5-inc1", Policy(7, 4, 0.5)),
        ("rand-m0-inc1", Policy(0)),
    ],
)
def test_policies_are_read_in_timm_s_words(text, policy):
    assert parse_policy(text) == policy


@pytest.mark.parametrize(
    "text", ["rand", "augmix-m3", "rand-m11", "rand-m9-w0", "rand-m9-inc0", "rand-m9-mstd0.5"]
)
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match="AA_TYPE must be like rand-m9"):
        parse_policy(text)
    with pytest.raises((ValueError, ConfigError), match="AA_TYPE"):
        Augmentation(aa_type=text)


def test_the_same_is_done_to_all_frames():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = rand_augmented(frames(), Policy(9, 4, 0.5), rng)
        assert found.shape == (3, 24, 32, 3)
        assert found.dtype == np.uint8
        assert (found == found[:1]).all()


def test_the_seed_decides_and_half_of_the_operations_are_done():
    one, other, third = (
        rand_augmented(frames(), Policy(9, 3), np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)
    same = sum(
        np.array_equal(rand_augmented(frames(), Policy(9, 1), np.random.default_rng(s)), frames())
        for s in range(300)
    )
    assert 0.4 < same / 300 < 0.62


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_grows_with_its_strength(name):
    from PIL import Image

    picture = Image.fromarray(frames(1)[0] // 2 + 40)
    change = [
        np.abs(np.asarray(OPERATIONS[name](picture, s)).astype(int) - np.asarray(picture)).mean()
        for s in (0.0, 0.3, 1.0)
    ]
    assert change[2] > 0
    assert change[2] >= change[0]
    again = OPERATIONS[name](picture, -0.5)
    assert again.size == picture.size


def test_erasing_is_one_box_of_noise_in_all_frames():
    plain = frames(3, (60, 80)) * 0
    for seed in range(60):
        found = erased(plain, 1, np.random.default_rng(seed))
        assert (found == found[:1]).all()
        changed = found[0].any(axis=2)
        if changed.any():
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert 0.015 < area / 4800 < 0.36
    assert not plain.any(), "what is given stays"


def test_as_many_boxes_are_erased_as_asked_for(dataset):
    """Two boxes share the area of one: where they lie apart, columns between them stay."""
    plain = frames(3, (60, 80)) * 0
    apart = 0
    for seed in range(60):
        columns = erased(plain, 2, np.random.default_rng(seed))[0].any(axis=(0, 2))
        apart += np.count_nonzero(np.diff(columns.astype(int)) == 1) + int(columns[0]) == 2
    assert apart > 5
    one, two = (dataset(re_prob=1.0, re_count=n)[Key(1, 0, 0)].clips for n in (1, 2))
    assert (one != two).any()


def test_lost_frames_give_way_to_the_one_before():
    indices = np.arange(10, 40, 3)
    assert without_some(indices, 0.0, np.random.default_rng(0)) is indices
    found = without_some(indices, 0.5, np.random.default_rng(0))
    assert found[0] == 10
    assert set(found) <= set(indices)
    assert (np.diff(found) >= 0).all()
    assert (found < indices).any()
    assert without_some(indices, 1.0, np.random.default_rng(0)).tolist() == [10] * 10


@pytest.fixture
def dataset(tmp_path):
    write_video(tmp_path / "a.mp4", 20, (48, 64))

    def make(**augmentation):
        sampler = Sampler(None, labels=np.zeros(1, np.int64), num_classes=2, seed=0)
        loading = Loading(sampling=ClipSampling(num_frames=4), size=32, batch_size=1)
        training = Training(
            sampler=sampler,
            augmentation=Augmentation(**augmentation),
            class_names=["left", "right"],
            seed=5,
        )
        return ClipDataset([Record(str(tmp_path / "a.mp4"), 0)], loading, training)

    return make


def test_repeated_augmentation_draws_several_clips_of_one_file(dataset):
    words = {"flip": 0.5, "flip_labels": (("left", "right"),), "crop_scale": (0.5, 1.0)}
    sample = dataset(num_sample=6, **words)[Key(1, 0, 0)]
    assert sample.clips.shape == (6, 3, 4, 32, 32)
    assert len(sample.labels) == 6
    assert set(sample.labels) == {0, 1}, "some are mirrored, and of the other class"
    assert len({clip.numpy().tobytes() for clip in sample.clips}) == 6


@pytest.mark.parametrize(
    "augmentation",
    [{"aa_type": "rand-m9-n2-mstd0.5-inc1"}, {"re_prob": 1.0}, {"drop_frames": 0.5}],
)
def test_clips_follow_from_seed_epoch_and_index(dataset, augmentation):
    one, again = (dataset(**augmentation)[Key(2, 0, 0)].clips for _ in range(2))
    assert torch.equal(one, again)
    plain = dataset()[Key(2, 0, 0)].clips
    others = [dataset(**augmentation)[Key(epoch, 0, 0)].clips for epoch in range(3, 9)]
    assert any(not torch.equal(one, other) for other in others)
    assert any(
        not torch.equal(other, dataset()[Key(epoch, 0, 0)].clips)
        for epoch, other in zip(range(3, 9), others, strict=True)
    )
    assert plain.shape == one.shape
