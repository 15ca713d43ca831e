"""Clips in tar archives: the frames of the files, in any order, by every decoder's way."""

import io
import json
import tarfile

import cv2
import numpy as np
import pytest
from videos import numbered_frame, read_number, write_video

from cdb_video import options
from cdb_video.data.decode import VideoReader
from cdb_video.data.decode.member import members
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.loop import train
from cdb_video.errors import DataError, DecodeError
from cdb_video.registry import DATASETS

WebDataset = DATASETS.get("webdataset")


def write_shard(path, samples):
    """``samples``: name -> bytes."""
    with tarfile.open(path, "w") as tar:
        for name, data in samples.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def read(root, **words):
    return WebDataset(WebDataset.Options(root=str(root), **words))


@pytest.fixture
def clips(tmp_path):
    """Bytes of videos of 12 frames, each from another number on."""
    found = []
    for n in range(6):
        path = tmp_path / f"{n}.mp4"
        write_video(path, 12, (32, 48), frame=lambda i, n=n: numbered_frame(20 * n + i, (32, 48)))
        found.append(path.read_bytes())
    return found


def test_frames_are_those_of_the_files(tmp_path, clips):
    for split, some in (
        ("train-000", clips[:2]),
        ("train-001", clips[2:4]),
        ("val-000", clips[4:]),
    ):
        write_shard(
            tmp_path / f"{split}.tar",
            {
                name: data
                for n, clip in enumerate(some)
                for name, data in (
                    (f"{split}/{n}.mp4", clip),
                    (f"{split}/{n}.cls", b"%d" % (n % 2)),
                )
            },
        )
    dataset = read(tmp_path)
    records = dataset.records("train")
    assert [record.label for record in records] == [0, 1, 0, 1]
    for number in (3, 0, 2):
        with VideoReader(records[number].path) as video:
            assert [*map(read_number, video.frames([0, 11]))] == [20 * number, 20 * number + 11]
    assert dataset.class_names == ["0", "1"]
    with pytest.raises(DataError, match="the split 'test' .* has no clips"):
        dataset.records("test")
    with pytest.raises(DecodeError, match=r"train-000\.tar has no nothing\.mp4"):
        VideoReader(str(tmp_path / "train-000.tar/nothing.mp4"))


def test_labels_may_be_names_and_clips_images(tmp_path):
    image = cv2.imencode(".png", numbered_frame(7, (32, 32))[..., ::-1])[1].tobytes()
    label = json.dumps({"label": "walk", "subject": 3}).encode()
    other = json.dumps({"label": "caf\u00e9"}).encode()
    samples = {"a.png": image, "a.json": label, "b.png": image, "b.json": other}
    write_shard(tmp_path / "train-0.tar", samples)
    dataset = read(tmp_path)
    assert dataset.class_names == ["caf\u00e9", "walk"]
    assert [record.label for record in dataset.records("train")] == [1, 0]
    with VideoReader(dataset.records("train")[0].path) as video:
        assert read_number(video.frames([0])[0]) == 7


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({"a.mp4": b"x"}, "must be one clip and a .cls or .json, got mp4"),
        ({"a.mp4": b"x", "a.webm": b"x", "a.cls": b"0"}, "got mp4, webm, cls"),
        ({"a.mp4": b"x", "a.cls": b"one"}, "must hold the class, got 'one'"),
        ({"a.mp4": b"x", "a.json": b"[]"}, "must hold the class"),
        ({}, "no sample in"),
    ],
)
def test_odd_samples_are_named(tmp_path, samples, said):
    write_shard(tmp_path / "train-0.tar", samples)
    with pytest.raises(DataError, match=said):
        read(tmp_path)


def test_no_archive_is_one_line(tmp_path):
    (tmp_path / "train-0.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(DataError, match=r"cannot read .*train-0\.tar"):
        read(tmp_path)


def test_it_trains_and_is_tested_with_workers(tmp_path, clips, tiny_yaml):
    for split in ("train", "val", "test"):
        write_shard(
            tmp_path / f"{split}-0.tar",
            {
                name: data
                for n, clip in enumerate(clips)
                for name, data in ((f"{n}.mp4", clip), (f"{n}.cls", b"%d" % (n % 2)))
            },
        )
    words = ["DATA.NAME", "webdataset", "DATA.WEBDATASET.ROOT", str(tmp_path)]
    words += ["DATA_LOADER.NUM_WORKERS", "1", "SOLVER.MAX_EPOCH", "1"]
    words += ["SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]"]
    config = options.load(tiny_yaml, words)
    members.cache_clear()
    train(config)
    metrics = run_test(config)
    assert (metrics["num_samples"], metrics["num_bad_clips"]) == (6, 0)
    assert np.isfinite(metrics["top1"])


def test_an_archive_that_ends_early_is_named_and_loses_nothing_in_silence(tmp_path):
    archive = tmp_path / "clips.tar"
    with tarfile.open(archive, "w") as file:
        for number in range(6):
            entry = tarfile.TarInfo(f"{number}.bin")
            entry.size = 700
            file.addfile(entry, io.BytesIO(bytes([number + 1]) * 700))
    whole = archive.read_bytes()
    assert len(members(str(archive))) == 6
    header_and_data = 512 + 1024
    rng = np.random.default_rng(0)
    for trial in range(60):
        damaged = bytearray(whole)
        if trial % 2:
            place = int(rng.integers(1, 6)) * header_and_data + int(rng.integers(0, 257))
            damaged[place] ^= 1 << int(rng.integers(8))
        else:
            del damaged[int(rng.integers(1, 6 * header_and_data + 511)) :]
        other = tmp_path / f"{trial}.tar"
        other.write_bytes(damaged)
        with pytest.raises(tarfile.TarError):
            members(str(other))


def test_a_class_number_is_bounded(tmp_path):
    for text in ("100000000000", "9" * 5_000):
        with tarfile.open(tmp_path / "train.tar", "w") as file:
            for name, data in (("a.mp4", b"x"), ("a.cls", text.encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
        members.cache_clear()
        kind = DATASETS.get("webdataset")
        with pytest.raises(DataError, match="a class number must be below 100000"):
            kind(kind.Options(root=str(tmp_path), train="train.tar"))
