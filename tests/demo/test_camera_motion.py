"""The demo data: its motions measured in the encoded clips, its lists, and its making."""

import itertools
import math
import re
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from cdb_video.data.datasets.egtea import Egtea
from cdb_video.demo import egtea as demo_egtea
from cdb_video.demo.camera_motion import (
    MOTIONS,
    PHOTOS,
    SUBJECTS,
    Shot,
    camera_path,
    photo_part,
    render_clip,
    write_clip,
)
from cdb_video.demo.egtea import make_demo_data, plan_clips, write_clips
from cdb_video.errors import ConfigError, DataError

SEED = 3
PARTS = ("train", "val", "test")
CLEARLY_SEEN = np.array([15, 15, 0.15, 0.2])
"""Motions across, down (pixels), of the scale (natural logarithm) and about the centre (radians)
that nobody overlooks in a clip of 160x120."""


@pytest.fixture(scope="module")
def clips():
    return plan_clips(SEED)


@pytest.fixture
def small(monkeypatch):
    """Training clips of each verb, 1; with as many others, all of a second, they are soon made."""
    monkeypatch.setattr(demo_egtea, "NUM_VAL", 1)
    monkeypatch.setattr(demo_egtea, "NUM_TEST", 1)
    monkeypatch.setattr(demo_egtea, "NUM_FRAMES", range(24, 25))
    return dict.fromkeys(MOTIONS, 1)


def file_bytes(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*.*")}


def measured_motion(path):
    """How the picture moved from the first frame to the last: x, y, log scale, clockwise angle.

    Corners followed from frame to frame give a similarity of each pair of frames; their product
    is read at the centre of the picture.
    """
    with av.open(str(path)) as container:
        grey = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    whole, steps = np.eye(3), []
    for before, after in itertools.pairwise(grey):
        corners = cv2.goodFeaturesToTrack(before, 200, 0.01, 5)
        moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)
        kept = found.ravel() == 1
        step, _ = cv2.estimateAffinePartial2D(corners[kept], moved[kept])
        whole = np.vstack([step, [0, 0, 1]]) @ whole
        steps.append(math.hypot(*(step @ [80, 60, 1] - [80, 60])))
    x, y = (whole @ [80, 60, 1])[:2] - [80, 60]
    scale, angle = math.hypot(whole[0, 0], whole[1, 0]), math.atan2(whole[1, 0], whole[0, 0])
    return np.array([x, y, math.log(scale), angle]), np.array(steps)


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize(
    ("verb", "axis", "sign"),
    [
        # The picture moves against the camera; a zoom in makes it grow.
        ("Pan left", 0, 1),
        ("Pan right", 0, -1),
        ("Tilt up", 1, 1),
        ("Tilt down", 1, -1),
        ("Zoom in", 2, 1),
        ("Zoom out", 2, -1),
        ("Roll left", 3, 1),
        ("Roll right", 3, -1),
    ],
)
def test_the_picture_moves_against_the_camera(tmp_path, verb, axis, sign, photo):
    write_clip(tmp_path / "clip.mp4", Shot(verb, photo, "test", 36, (SEED, 1)))
    moved, _ = measured_motion(tmp_path / "clip.mp4")
    strength = moved / CLEARLY_SEEN
    assert sign * strength[axis] > 1
    assert np.abs(np.delete(strength, axis)).max() < 0.3


def test_shaking_is_strong_and_standing_still_is_not(tmp_path):
    moved, steps = {}, {}
    for verb in ("Shake", "Still"):
        write_clip(tmp_path / "clip.mp4", Shot(verb, "flower", "train", 36, (SEED, 2)))
        moved[verb], steps[verb] = measured_motion(tmp_path / "clip.mp4")
    assert np.median(steps["Shake"]) > 8
    assert np.median(steps["Still"]) < 2
    assert np.abs(moved["Still"] / CLEARLY_SEEN).max() < 0.3


def test_a_path_starts_and_ends_within_the_clip_and_is_centred_on_its_middle():
    for number in range(20):
        path = camera_path("Pan right", 48, np.random.default_rng(number))[:, 0]
        assert 60 < path[-1] - path[0] < 170
        assert path[0] == pytest.approx(-path[-1], abs=8)
        assert np.diff(path).max() < 0.2 * (path[-1] - path[0])


def test_splits_show_different_parts_of_the_photographs():
    for photo, (left, top, right, bottom) in SUBJECTS.items():
        train, val, test = (photo_part(photo, part) for part in PARTS)
        subject = load_sample_image(f"{photo}.jpg")[top:bottom, left:right]
        np.testing.assert_array_equal(np.hstack([train, np.vstack([val, test])]), subject)


def test_a_single_frame_does_not_tell_the_verb():
    """Nearest neighbours among single frames share their verb no more often than by chance."""
    shots = [
        Shot(verb, PHOTOS[number % 2], "train", 3, (SEED, 100 * index + number))
        for index, verb in enumerate(MOTIONS)
        for number in range(20)
    ]
    frames = np.stack([cv2.resize(render_clip(shot)[0], (16, 12)) for shot in shots])
    flat = frames.reshape(len(frames), -1).astype(float)
    distance = ((flat[:, None] - flat[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    verbs = np.array([shot.verb for shot in shots])
    # Chance is 0.1, with a standard deviation of 0.02 over 200 frames.
    assert (verbs[distance.argmin(axis=1)] == verbs).mean() < 0.17


def test_clips_are_h264_with_the_planned_frames(tmp_path):
    write_clip(tmp_path / "clip.mp4", Shot("Shake", "china", "val", 31, (SEED, 4)))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height, stream.average_rate) == (160, 120, 24)
        assert sum(1 for _ in container.decode(stream)) == 31


def test_training_has_a_long_tail_and_every_part_every_action(clips):
    counts = {
        part: Counter(clip.shot.verb for clip in clips if clip.shot.part == part) for part in PARTS
    }
    assert set(counts["train"]) == set(counts["val"]) == set(counts["test"]) == set(MOTIONS)
    assert max(counts["train"].values()) >= 20 * min(counts["train"].values())
    assert min(counts["val"].values()) >= 12
    assert min(counts["test"].values()) >= 20
    for part in PARTS:
        assert len({clip.ids for clip in clips if clip.shot.part == part}) == 20


def test_names_follow_egtea(clips):
    pattern = re.compile(r"(P\d\d)-R\d\d-([A-Z][a-z]+)-(\d+)-(\d+)-F(\d{6})-F(\d{6})")
    sessions = {}
    for clip in clips:
        subject, dish, start_ms, end_ms, start, end = pattern.fullmatch(clip.name).groups()
        start, end = int(start), int(end)
        assert dish.lower() == clip.shot.photo
        assert (subject >= "P20") == (clip.shot.part == "val")
        assert 24 <= end - start == clip.shot.num_frames <= 72
        # The file is the named stretch of time and a tenth of it at either end, at 24 frames/s.
        duration = (int(end_ms) - int(start_ms)) / 1000
        assert end - start == pytest.approx(1.2 * duration * 24, abs=0.1)
        assert (int(start_ms) / 1000 - 0.1 * duration) * 24 == pytest.approx(start, abs=0.1)
        sessions.setdefault(clip.session, []).append((start, end))
    for spans in sessions.values():
        spans.sort()
        assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_other_seeds_give_other_clips(clips):
    assert {clip.name for clip in clips} != {clip.name for clip in plan_clips(SEED + 1)}
    assert plan_clips(SEED) == clips


def test_the_demo_lies_on_disk_as_egtea_does(tmp_path, small, capsys):
    root = tmp_path / "a folder" / "demo"
    make_demo_data(root, SEED, num_workers=2, num_train=small)
    assert [path.name for path in root.parent.iterdir()] == ["demo"]
    everything = None
    for split, label in itertools.product((1, 2, 3), ("verb", "noun", "action")):
        dataset = Egtea(Egtea.Options(root=str(root), split=split, label=label))
        records = {part: dataset.records(part) for part in PARTS}
        together = [record for part in PARTS for record in records[part]]
        dataset.check_files(together)
        paths = sorted(record.path for record in together)
        assert len(set(paths)) == len(paths) == 30
        assert everything in (None, paths)
        everything = paths
        if label == "verb":
            assert dataset.class_names == list(MOTIONS)
            for part in PARTS:
                assert sorted(record.label for record in records[part]) == list(range(10))
        if label == "action":
            names = {dataset.class_names[record.label] for record in together}
            assert {"Pan left china", "Roll right china"} <= names

    before = file_bytes(root)
    make_demo_data(root, SEED, num_train=small)
    assert "already" in capsys.readouterr().out
    Path(everything[0]).unlink()
    make_demo_data(root, SEED, num_workers=1, num_train=small)
    assert file_bytes(root) == before
    # As many clips, but of other verbs.
    other = {**small, "Still": 2, "Shake": 0}
    make_demo_data(root, SEED, num_train=other)
    dataset = Egtea(Egtea.Options(root=str(root), label="verb"))
    labels = [dataset.class_names[record.label] for record in dataset.records("train")]
    assert Counter(labels) == Counter(other)


def test_a_clip_depends_on_nothing_but_its_shot(tmp_path, clips):
    chosen = clips[::170]
    for number, order in enumerate((chosen, chosen[::-1]), 1):
        write_clips(tmp_path / str(number), order, num_workers=number)
    assert file_bytes(tmp_path / "1") == file_bytes(tmp_path / "2")
    assert len(file_bytes(tmp_path / "1")) == len(chosen)


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="max_workers"):
        make_demo_data(tmp_path / "demo", num_workers=-1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_content_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(DataError, match="new or empty folder"):
        make_demo_data(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=">= 0, got -1"):
        make_demo_data(tmp_path / "demo", seed=-1)
