"""Samples and batches from real files: what they hold must depend on nothing but their key."""

import gc
import multiprocessing
import os
import platform
import re
import resource
import signal
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from videos import read_number, write_video

from cdb_video.data.batches import clip_dataset
from cdb_video.data.batches.clip_dataset import ClipDataset
from cdb_video.data.batches.clip_loader import ClipLoader
from cdb_video.data.batches.loading import Loading, Share, Training
from cdb_video.data.decode import DECODERS, Decoding
from cdb_video.data.decode.pyav import PyavDecoder
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.lists.records import Record
from cdb_video.data.samplers.shuffle import Shuffle
from cdb_video.errors import ConfigError, DataError, DecodeError
from cdb_video.system.memory import keep_freed_memory

LOSSLESS = {"qp": "0"}
CLASSES = ["away", "left", "right"]
TWO = ClipSampling(num_frames=2)
EVERYTHING = Augmentation(
    pad=2,
    crop_scale=(0.5, 1.0),
    aspect_ratio=(0.8, 1.25),
    rotation=10.0,
    flip=0.5,
    color_jitter=0.4,
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Seven files of 3 to 27 frames, 32 x 48 pixels, with labels 0, 1, 2, 0, ..."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        Record(
            str(write_video(folder / f"{number}.mp4", 3 + 4 * number, (32, 48), options=LOSSLESS)),
            number % 3,
        )
        for number in range(7)
    ]


def loading(arguments):
    """A ``Loading`` of keyword arguments, those of its ``Share`` among them; they are taken out."""
    share = Share(**take(arguments, Share))
    return Loading(share=share, **take(arguments, Loading))


def take(arguments, kind):
    names = {field.name for field in fields(kind)} & arguments.keys()
    return {name: arguments.pop(name) for name in names}


def training(records, **changes):
    labels = np.array([record.label for record in records])
    arguments = {
        "sampler": Shuffle(Shuffle.Options(), labels=labels, num_classes=3, seed=11),
        "class_names": CLASSES,
        "sampling": TWO,
        "augmentation": EVERYTHING,
        "size": 24,
        "seed": 11,
        "batch_size": 3,
        **changes,
    }
    return ClipLoader(records, loading(arguments), Training(**arguments))


def evaluation(records, **changes):
    arguments = {"sampling": TWO, "size": 32, "batch_size": 3, **changes}
    views = (arguments.pop("temporal_views", 1), arguments.pop("spatial_crops", 1))
    loader = ClipLoader(records, loading(arguments), views=views)
    assert not arguments
    return loader


def by_index(batches):
    """Index -> list of its (clip, label), in the order they came."""
    found = {}
    for batch in batches:
        for video, label, index in zip(*batch[:3], strict=True):
            found.setdefault(int(index), []).append((video.numpy(), int(label)))
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for index in one:
        for (clip, label), (other_clip, other_label) in zip(one[index], other[index], strict=True):
            np.testing.assert_array_equal(clip, other_clip)
            assert label == other_label


def numbers(clip):
    """Frame numbers written in a clip (3, T, S, S)."""
    return [read_number(picture) for picture in clip.transpose(1, 2, 3, 0)]


def test_batches_are_uint8_and_contiguous(records):
    loader = training(records)
    batches = list(loader.batches())
    assert len(loader) == len(batches) == 2
    assert [len(batch.label) for batch in batches] == [3, 4]
    assert batches[0].video.shape == (3, 3, 2, 24, 24)
    for batch in batches:
        assert batch.video.dtype == torch.uint8
        assert batch.video.is_contiguous()
        assert batch.label.dtype == batch.index.dtype == torch.int64


def test_a_training_sample_depends_on_seed_epoch_and_index_only(records):
    reference = {epoch: by_index(training(records).batches(epoch)) for epoch in (0, 1)}
    two = training(records, num_workers=2)
    for changed in (
        {epoch: by_index(two.batches(epoch)) for epoch in (0, 1)},
        {epoch: by_index(training(records, num_workers=1).batches(epoch)) for epoch in (1, 0)},
        {epoch: by_index(training(records, batch_size=2).batches(epoch)) for epoch in (0, 1)},
    ):
        for epoch in (0, 1):
            assert_same(reference[epoch], changed[epoch])
    other_order = Shuffle(Shuffle.Options(), labels=np.zeros(7, int), num_classes=3, seed=99)
    assert_same(reference[0], by_index(training(records, sampler=other_order).batches(0)))
    for others in (reference[1], by_index(training(records, seed=12).batches(0))):
        # Six crops, angles and mirrorings that all agree by accident: no.
        assert any(
            not np.array_equal(others[index][0][0], reference[0][index][0][0]) for index in range(7)
        )


def test_records_of_the_same_file_get_different_clips(records):
    found = by_index(training([records[6]] * 6).batches())
    assert len({clips[0][0].tobytes() for clips in found.values()}) > 3


class Twice(Shuffle):
    """Every record twice an epoch, the last records first."""

    def __len__(self):
        return 2 * len(self.labels)

    def indices(self, epoch):
        return np.repeat(np.arange(len(self.labels))[::-1], 2)


def twice(records):
    labels = np.array([record.label for record in records])
    return Twice(Twice.Options(), labels=labels, num_classes=3, seed=0)


def as_bytes(clips):
    return sorted(clip.tobytes() for clip, _ in clips)


def test_a_record_that_comes_twice_gives_two_clips_the_first_as_if_it_came_once(records):
    once = by_index(training(records).batches(1))
    repeated = by_index(training(records, sampler=twice(records)).batches(1))
    num_different = 0
    for index, clips in repeated.items():
        assert len(clips) == 2
        np.testing.assert_array_equal(clips[0][0], once[index][0][0])
        num_different += not np.array_equal(clips[0][0], clips[1][0])
    assert num_different == 7


def test_repeats_are_the_same_for_any_number_of_ranks_and_workers(records):
    reference = by_index(training(records, sampler=twice(records)).batches(1))
    parts = [
        by_index(
            training(
                records, sampler=twice(records), rank=rank, world_size=2, num_workers=rank
            ).batches(1)
        )
        for rank in range(2)
    ]
    for index, clips in reference.items():
        assert as_bytes(parts[0][index] + parts[1][index]) == as_bytes(clips)


def test_training_leaves_the_global_generators_alone(records):
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(training(records, num_workers=1).batches())
    list(training(records).batches())
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_visits_every_record_once_over_all_ranks(records, world_size):
    indices = []
    for rank in range(world_size):
        loader = evaluation(records, rank=rank, world_size=world_size, batch_size=2)
        batches = list(loader.batches())
        assert len(batches) == len(loader)
        indices += [index for batch in batches for index in batch.index.tolist()]
    assert sorted(indices) == list(range(7))


def test_a_rank_without_records_has_no_batches(records):
    loader = evaluation(records[:1], rank=1, world_size=2)
    assert len(loader) == 0
    assert list(loader.batches()) == []


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_training_ranks_take_equally_many_steps_and_miss_no_record(records, world_size):
    loaders = [
        training(records, rank=rank, world_size=world_size, batch_size=2)
        for rank in range(world_size)
    ]
    ranks = [list(loader.batches(2)) for loader in loaders]
    assert {len(batches) for batches in ranks} == {len(loader) for loader in loaders}
    assert len({len(batches) for batches in ranks}) == 1
    seen = [index for batches in ranks for batch in batches for index in batch.index.tolist()]
    assert set(seen) == set(range(7))
    assert len(seen) - 7 < world_size


def test_only_a_training_batch_of_one_joins_the_one_before_it(records):
    def sizes(loader):
        return [len(batch.label) for batch in loader.batches()]

    assert sizes(evaluation(records)) == [3, 3, 1]
    assert sizes(training(records, batch_size=4)) == [4, 3]
    assert sizes(training(records, batch_size=1)) == [1] * 7
    assert sizes(training(records[:1])) == [1]


def test_evaluation_is_the_same_every_time(records):
    loader = evaluation(records, num_workers=1)
    first = by_index(loader.batches())
    assert_same(first, by_index(loader.batches(1)))
    assert_same(first, by_index(evaluation(records, batch_size=7).batches()))
    for index, record in enumerate(records):
        [(clip, label)] = first[index]
        assert label == record.label
        assert clip.shape == (3, 2, 32, 32)


def square(tmp_path, num_frames=12):
    return Record(
        str(write_video(tmp_path / "square.mp4", num_frames, (32, 32), options=LOSSLESS)), 1
    )


def test_views_share_the_index_and_cover_time(tmp_path):
    record = square(tmp_path)
    loader = evaluation([record, record], temporal_views=2, spatial_crops=3, batch_size=5)
    batches = list(loader.batches())
    assert [len(batch.label) for batch in batches] == [5, 1, 5, 1]
    assert len(loader) == len(batches)
    assert [batch.index.tolist() for batch in loader.batches(first=3)] == [[1]]
    found = by_index(batches)
    for index in (0, 1):
        drawn = [numbers(clip) for clip, _ in found[index]]
        # 12 frames in 2 segments; the views lie at 1/4 and 3/4 of each.
        assert drawn == [[1, 7]] * 3 + [[4, 10]] * 3


@pytest.mark.parametrize("batch_size", [4, 32])
def test_a_file_is_decoded_once_for_all_its_views(records, batch_size, monkeypatch):
    decoded = []
    read = PyavDecoder._read

    def counted(decoder, indices, scale):
        for picture in read(decoder, indices, scale):
            decoded.append(decoder._path)
            yield picture

    monkeypatch.setattr(PyavDecoder, "_read", counted)
    sampling = ClipSampling(num_frames=2)
    one = by_index(evaluation(records, sampling=sampling).batches())
    assert len(decoded) == 2 * len(records)
    decoded.clear()
    views = dict(temporal_views=3, spatial_crops=3, batch_size=batch_size)
    many = by_index(evaluation(records, sampling=sampling, **views).batches())
    assert len(decoded) == 6 * 6 + 3  # the first file has 3 frames
    for index in range(len(records)):  # the middle view is that of a single one, to the bit
        np.testing.assert_array_equal(many[index][4][0], one[index][0][0])


def test_spatial_views_are_the_ends_and_the_middle_of_the_long_side(records):
    found = by_index(evaluation(records[2:3], spatial_crops=3).batches())
    left, middle, right = (clip.astype(int) for clip, _ in found[0])
    np.testing.assert_array_equal(left[..., 8:], middle[..., :-8])
    np.testing.assert_array_equal(middle[..., 8:], right[..., :-8])
    assert left[0].mean() < middle[0].mean() < right[0].mean()  # red grows with x


def test_a_part_of_a_file_gives_frames_of_that_part_only(tmp_path):
    part = square(tmp_path, 48)._replace(start=0.5, end=1.0)  # at 24 fps
    sampling = ClipSampling(num_frames=4)
    [(clip, _)] = by_index(evaluation([part], sampling=sampling).batches())[0]
    assert numbers(clip) == [13, 16, 19, 22]
    plain = Augmentation()
    drawn = set()
    loader = training([part], sampling=sampling, augmentation=plain, size=32)
    for epoch in range(20):
        for clip, _ in by_index(loader.batches(epoch))[0]:
            drawn |= set(numbers(clip))
    assert drawn == set(range(12, 24))


def test_short_clips_repeat_frames(tmp_path):
    record = square(tmp_path, 2)
    [(clip, _)] = by_index(evaluation([record], sampling=ClipSampling(4)).batches())[0]
    assert numbers(clip) == [0, 0, 1, 1]
    [(clip, _)] = by_index(evaluation([record], sampling=ClipSampling(4, "dense")).batches())[0]
    assert numbers(clip) == [0, 1, 1, 1]


def test_a_flip_mirrors_the_pixels_and_swaps_the_labels(tmp_path):
    records = [square(tmp_path)._replace(label=label) for label in range(3)]
    always = Augmentation(flip=1.0, flip_labels=(("left", "right"),))
    plain = by_index(training(records, augmentation=Augmentation(), size=32).batches(4))
    flipped = by_index(training(records, augmentation=always, size=32).batches(4))
    for index, swapped in enumerate([0, 2, 1]):
        np.testing.assert_array_equal(flipped[index][0][0], plain[index][0][0][..., ::-1])
        assert plain[index][0][1] == index
        assert flipped[index][0][1] == swapped


def test_what_a_crop_reaches_beyond_the_picture_is_black(tmp_path):
    record = square(tmp_path, 1)
    [(plain, _)] = by_index(training([record], augmentation=Augmentation(), size=32).batches())[0]
    padded = np.pad(plain, ((0, 0), (0, 0), (8, 8), (8, 8)))
    loader = training([record], augmentation=Augmentation(pad=8), size=32)
    places = []
    for epoch in range(6):
        [(clip, _)] = by_index(loader.batches(epoch))[0]
        places += [
            (top, left)
            for top, left in np.ndindex(17, 17)
            if np.array_equal(clip, padded[:, :, top : top + 32, left : left + 32])
        ]
    assert len(places) == 6
    assert len(set(places)) > 3


def test_only_flipped_clips_change_their_label(tmp_path):
    record = square(tmp_path)._replace(label=1)
    sometimes = Augmentation(flip=0.5, flip_labels=(("left", "right"),))
    loader = training([record], augmentation=sometimes, size=32)
    labels = set()
    for epoch in range(12):
        [(clip, label)] = by_index(loader.batches(epoch))[0]
        red = clip[0].astype(int)
        mirrored = red[..., :4].mean() > red[..., -4:].mean()
        assert label == (2 if mirrored else 1)
        labels.add(label)
    assert labels == {1, 2}


def test_all_frames_of_a_clip_get_the_same_geometry(tmp_path):
    still = Record(
        str(
            write_video(
                tmp_path / "still.mp4",
                8,
                (48, 64),
                options=LOSSLESS,
                frame=lambda index: np.indices((48, 64, 3))[1].astype(np.uint8) * 4,
            )
        ),
        0,
    )
    loader = training([still], sampling=ClipSampling(4), size=20)
    for epoch in range(3):
        [(clip, _)] = by_index(loader.batches(epoch))[0]
        for frame in range(1, 4):
            assert np.abs(clip[:, frame].astype(int) - clip[:, 0]).max() <= 1


def test_paths_and_times_survive_the_compact_table():
    records = [Record("/a/ü.mp4", 2), Record("", 0, 0.0, 1.5), Record("/b c,d", 1, 3.25)]
    dataset = ClipDataset(records, Loading(sampling=TWO, size=8, batch_size=1))
    assert len(dataset) == 3
    assert [dataset.records[index] for index in range(3)] == records


def test_an_unknown_flip_label_is_refused_before_the_first_clip(records):
    with pytest.raises(ConfigError, match="FLIP_LABELS .* got 'up'"):
        training(records, augmentation=Augmentation(flip_labels=(("left", "up"),)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_file_stops_with_one_line_that_opens_with_its_path(tmp_path, records, num_workers):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    loader = evaluation([*records, Record(str(broken), 0)], num_workers=num_workers)
    with pytest.raises(DecodeError) as caught:
        list(loader.batches())
    assert str(caught.value).startswith(f"{broken}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_time_after_the_end_of_the_file_is_an_error_with_the_path(records, num_workers):
    late = records[0]._replace(start=60.0)
    with pytest.raises(DataError) as caught:
        list(evaluation([late], num_workers=num_workers).batches())
    assert str(caught.value).startswith(f"{late.path}: the clip [60, end) s lies outside")


def test_an_epoch_left_early_does_not_leak_into_the_next(records):
    loader = training(records, num_workers=1, batch_size=1)
    abandoned = loader.batches(0)
    next(abandoned)
    abandoned.close()
    assert_same(by_index(loader.batches(1)), by_index(training(records).batches(1)))


def test_workers_survive_the_signals_that_stop_a_run(records):
    before = set(multiprocessing.active_children())
    loader = training(records * 3, num_workers=1, batch_size=1)
    batches = loader.batches()
    next(batches)
    for worker in set(multiprocessing.active_children()) - before:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(worker.pid, number)
    assert len(list(batches)) == 20


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """A record whose decoding never ends: opening it waits for a writer, were it not refused."""
    monkeypatch.setattr("cdb_video.data.decode.what_it_is", lambda path: "")
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    return Record(str(pipe), 0)


def test_no_batch_in_time_is_reported_with_what_is_in_work(records, hanging, monkeypatch):
    # How long torch waits for a worker to end by itself.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.3)
    before = set(multiprocessing.active_children())
    loader = evaluation([*records, hanging], num_workers=1, batch_size=1, timeout=1.5)
    batches = loader.batches()
    for _ in records:
        next(batches)
    [worker] = set(multiprocessing.active_children()) - before
    with pytest.raises(DataError, match=r"within 1\.5 s .*; decoding: .*pipe\.mp4"):
        next(batches)
    assert not worker.is_alive()


def test_a_worker_that_dies_between_clips_is_reported(records):
    before = set(multiprocessing.active_children())
    loader = training(records * 3, num_workers=1, batch_size=1)
    batches = loader.batches()
    next(batches)
    [worker] = set(multiprocessing.active_children()) - before
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    with pytest.raises((DataError, DecodeError), match="process .*(died|SIGKILL)"):
        list(batches)


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video at all")
    return Record(str(path), 0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_clip_of_training_is_replaced_by_one_of_its_class(records, broken, num_workers):
    everything = [*records, broken]
    plain = by_index(training(records).batches(3))
    loader = training(everything, num_workers=num_workers, tolerant=True)
    batches = list(loader.batches(3))
    [bad] = [bad for batch in batches for bad in batch.bad]
    assert bad == (7, f"{broken.path}: it is text")
    found = by_index(batches)
    assert sum(map(len, found.values())) == len(everything)
    [stand_in] = [index for index, clips in found.items() if len(clips) == 2]
    assert records[stand_in].label == broken.label
    clips = [clip for clip, _ in found[stand_in]]
    assert any(np.array_equal(clip, plain[stand_in][0][0]) for clip in clips)
    assert not np.array_equal(*clips), "the replacement is cut in its own way"
    # Others come as they would without it, and what replaces it follows from the key alone.
    assert_same(found, by_index(training(everything, tolerant=True, batch_size=4).batches(3)))
    other_epochs = [by_index(loader.batches(epoch)) for epoch in range(8)]
    assert len({index for f in other_epochs for index in f if len(f[index]) == 2}) > 1


def test_without_another_clip_of_its_class_any_replaces_it(records, broken):
    alone = [broken._replace(label=2), *(record._replace(label=0) for record in records)]
    [batch, *rest] = training(alone, tolerant=True, batch_size=9).batches()
    assert not rest
    assert batch.label.tolist() == [0] * 8


def test_where_all_are_bad_the_first_error_stops(broken):
    with pytest.raises(DecodeError, match=r"broken\.mp4: it is text"):
        list(training([broken] * 3, tolerant=True).batches())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_clip_of_evaluation_is_left_out_and_told(records, broken, num_workers):
    loader = evaluation(
        [records[0], broken, *records[1:3], broken],
        tolerant=True,
        num_workers=num_workers,
        batch_size=1,
    )
    batches = list(loader.batches())
    assert [batch.index.tolist() for batch in batches] == [[0], [], [2], [3], []]
    assert [len(batch.video) for batch in batches] == [1, 0, 1, 1, 0]
    assert [bad.record for batch in batches for bad in batch.bad] == [1, 4]


def test_a_clip_that_hangs_ends_its_worker_and_the_rest_comes(records, hanging):
    everything = [*records[:3], hanging, *records[3:]]
    loader = evaluation(
        everything, tolerant=True, num_workers=2, batch_size=2, clip_timeout=1.0, timeout=60
    )
    for _ in range(2):  # workers live on into the next epoch, and do not try it again
        batches = list(loader.batches())
        [bad] = [bad for batch in batches for bad in batch.bad]
        assert bad.record == 3
        assert "was not decoded within 1 s (DATA_LOADER.CLIP_TIMEOUT)" in bad.reason
        assert sorted(by_index(batches)) == [0, 1, 2, 4, 5, 6, 7]
    with pytest.raises(DecodeError, match=r"pipe\.mp4: it was not decoded within 1 s"):
        list(evaluation([hanging], num_workers=1, clip_timeout=1.0).batches())


class Crash:
    """A decoder that does what damaged native code does."""

    def __init__(self, path, decoding, span):
        if "3.mp4" in path:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "5.mp4" in path:
            self.memory = np.ones(3 << 30, np.uint8)
        self.reader = DECODERS.get("pyav")(path, decoding, span)
        for name in ("fps", "times", "size", "end_s", "stream", "close"):
            setattr(self, name, getattr(self.reader, name))


def test_a_crash_or_a_flood_of_memory_costs_one_clip(records, monkeypatch):
    monkeypatch.setitem(DECODERS._classes._obj_map, "crash", Crash)
    loader = training(
        records,
        tolerant=True,
        num_workers=2,
        batch_size=2,
        clip_memory=1 << 30,
        decoding=Decoding(decoder="crash"),
    )
    batches = list(loader.batches())
    reasons = {bad.record: bad.reason for batch in batches for bad in batch.bad}
    assert "the process that decoded it ended with SIGSEGV" in reasons[3]
    assert "allocate" in reasons[5]
    assert sum(len(batch.label) for batch in batches) == len(records)


class Told:
    """A decoder that tells how many objects the collector leaves alone."""

    def __init__(self, path, decoding, span):
        raise ValueError(f"frozen {gc.get_freeze_count()}")


def test_workers_leave_what_they_inherit_alone(records, monkeypatch):
    monkeypatch.setitem(DECODERS._classes._obj_map, "told", Told)
    decoding = Decoding(decoder="told")
    for workers in (0, 1):
        loader = evaluation(records[:1], tolerant=True, num_workers=workers, decoding=decoding)
        [batch] = loader.batches()
        count = int(batch.bad[0].reason.split("frozen ")[1])
        assert (count > 10_000) == (workers > 0)


class Wasteful:
    """A decoder that tells how many pages it had to be given anew, after it had freed as many."""

    def __init__(self, path, decoding, span):
        before = 0
        for _ in "12":
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            _ = b"1" * 40_000_000
        raise ValueError(f"{resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before} pages")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_workers_keep_less_of_what_they_free_than_a_run_does(records, monkeypatch):
    monkeypatch.setitem(DECODERS._classes._obj_map, "wasteful", Wasteful)
    keep_freed_memory(all_of_it=True)
    for workers in (0, 1):
        given = {"decoding": Decoding(decoder="wasteful"), "num_workers": workers}
        [batch] = evaluation(records[:1], tolerant=True, **given).batches()
        pages = int(re.search(r"(\d+) pages", batch.bad[0].reason)[1])
        assert (pages * os.sysconf("SC_PAGE_SIZE") > 36_000_000) == (workers > 0)
    keep_freed_memory()


def test_freed_memory_is_returned_every_some_clips(records, monkeypatch):
    returned = []
    monkeypatch.setattr(clip_dataset, "TRIM_EVERY", 3)
    monkeypatch.setattr(clip_dataset, "return_freed_memory", lambda: returned.append(1))
    assert len(by_index(evaluation(records).batches())) == 7
    assert len(returned) == 2
    monkeypatch.undo()
    clip_dataset.return_freed_memory()  # on this system, too


LEFT_AT_EXIT = """
import sys
from cdb_video.data.lists.records import Record
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.decode import DECODERS, Decoding
from cdb_video.data.batches.clip_loader import ClipLoader
from cdb_video.data.batches.loading import Loading, Share

records = [Record(sys.argv[1], 0)] * 30
share = Share(num_workers=1)
loader = ClipLoader(records, Loading(sampling=ClipSampling(2), size=32, batch_size=1, share=share))
batches = loader.batches()
next(batches)
if sys.argv[2] == "error":
    raise KeyError("a defect")
"""


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("error", 1)])
def test_a_process_with_working_workers_ends_at_once(records, how, code):
    command = [sys.executable, "-c", LEFT_AT_EXIT, records[0].path, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert ("a defect" in done.stderr) == (how == "error")
