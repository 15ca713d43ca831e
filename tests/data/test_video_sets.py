"""The lists of public video sets in their own formats, made up; every trap is a test."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from video_lists import (
    EPIC,
    EPIC_HEADER,
    KINETICS,
    make_epic,
    make_hmdb51,
    make_ssv2,
    make_ucf101,
    write,
)
from videos import numbered_frame, read_number, write_video

from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.data.frames.sampling import ClipSampling, frame_range
from cdb_video.errors import ConfigError, DataError, DecodeError
from cdb_video.registry import DATASETS


def dataset(name, root, **options):
    kind = DATASETS.get(name)
    return kind(kind.Options(root=str(root), **options))


def of(records, root):
    return [(os.path.relpath(r.path, root), r.label, *r[2:4]) for r in records]


def clips(records, root):
    return [pair[:2] for pair in of(records, root)]


# ---- list


def test_a_list_of_pyslowfast_runs_as_it_is(tmp_path):
    write(tmp_path / "train.csv", "/data/k/x y.mp4 1\nrel/z.mp4 0\n")
    found = dataset("list", tmp_path, allow_outside=True)
    assert [(r.path, r.label) for r in found.records("train")] == [
        ("/data/k/x y.mp4", 1),
        (str(tmp_path / "rel/z.mp4"), 0),
    ]
    assert found.class_names == ["0", "1"]
    with pytest.raises(DataError, match=r"train\.csv:1: .*ALLOW_OUTSIDE true takes it"):
        dataset("list", tmp_path)


def test_a_list_of_mmaction2_runs_as_it_is(tmp_path):
    write(tmp_path / "video.txt", "some/xyz.mp4 17\n")
    found = dataset("list", tmp_path, train="video.txt", prefix="videos")
    assert clips(found.records("train"), tmp_path) == [("videos/some/xyz.mp4", 17)]
    assert len(found.class_names) == 18
    write(tmp_path / "frames.txt", "some/xyz 163 1\n")
    found = dataset("list", tmp_path, train="frames.txt", columns="path frames label")
    assert clips(found.records("train"), tmp_path) == [("some/xyz", 1)]
    write(tmp_path / "comma.txt", "path,label\nan, odd name.mp4,2\n")
    found = dataset("list", tmp_path, train="comma.txt", separator=",", header=True, first_label=1)
    assert clips(found.records("train"), tmp_path) == [("an, odd name.mp4", 1)]


def test_a_list_of_gen2balance_runs_as_it_is(tmp_path):
    """UCF101's clips are .avi where its lists say .mp4; MiniKinetics' have no ending."""
    write(tmp_path / "train.txt", "Archery/v_Archery_g08_c01.mp4 2\n")
    found = dataset("list", tmp_path, train="train.txt", suffix=".avi", prefix="UCF-101")
    assert clips(found.records("train"), tmp_path) == [("UCF-101/Archery/v_Archery_g08_c01.avi", 2)]
    write(tmp_path / "mini.txt", "-abc_000013_000023 0\n")
    found = dataset("list", tmp_path, train="mini.txt", suffix=".mp4")
    assert clips(found.records("train"), tmp_path) == [("-abc_000013_000023.mp4", 0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.txt", "Apply Eye Makeup\nBasketball\n"),
        ("c.txt", "1 Apply Eye Makeup\n2 Basketball\n"),
        ("c.txt", "1 Basketball\n0 Apply Eye Makeup\n"),
        ("c.json", ["Apply Eye Makeup", "Basketball"]),
        ("c.json", {"Basketball": "1", "Apply Eye Makeup": "0"}),
    ],
)
def test_names_of_classes_come_in_many_forms(tmp_path, name, content):
    write(tmp_path / "train.csv", "a.mp4 0\n")
    write(tmp_path / name, content)
    found = dataset("list", tmp_path, class_names=name)
    assert found.class_names == ["Apply Eye Makeup", "Basketball"]
    write(tmp_path / "train.csv", "a.mp4 2\n")
    with pytest.raises(DataError, match=r"train\.csv:1: the label must be in \[0, 2\)"):
        dataset("list", tmp_path, class_names=name).records("train")


@pytest.mark.parametrize("content", ['{"a": 0, "b": 2}', "[1, 2", "1 a\n3 b", "a\na"])
def test_gaps_among_classes_are_refused(tmp_path, content):
    write(tmp_path / "train.csv", "a.mp4 0\n")
    name = "c.json" if content[0] in "{[" else "c.txt"
    write(tmp_path / name, content)
    with pytest.raises(DataError, match="must"):
        dataset("list", tmp_path, class_names=name)


@pytest.mark.parametrize("line", ["x.mp4", "x.mp4 3 a", "x.mp4 -1", "17"])
def test_other_lines_are_named(tmp_path, line):
    write(tmp_path / "train.csv", f"a.mp4 1\n{line}\n")
    with pytest.raises(DataError, match=r"train\.csv:2: "):
        dataset("list", tmp_path)


# ---- ucf101


def test_ucf101(tmp_path):
    found = dataset("ucf101", make_ucf101(tmp_path))
    assert found.class_names == ["ApplyEyeMakeup", "Archery"]
    groups = {
        split: [(Path(r.path).stem[-7:-4], r.label) for r in found.records(split)]
        for split in ("train", "val", "test")
    }
    assert groups == {
        "train": [("g08", 0), ("g09", 0), ("g08", 1), ("g09", 1)],
        "val": [("g23", 0), ("g25", 0), ("g23", 1), ("g25", 1)],
        "test": [("g01", 0), ("g01", 1)],
    }
    assert found.records("test")[1].path == str(tmp_path / "UCF-101/Archery/v_Archery_g01_c01.avi")
    assert found.source(found.records("train")[0]).session == "v_ApplyEyeMakeup_g08"
    assert len(dataset("ucf101", tmp_path, val_groups=()).records("train")) == 8


def test_ucf101_s_numbers_must_be_those_of_its_classes(tmp_path):
    lists = make_ucf101(tmp_path) / "ucfTrainTestlist"
    write(lists / "trainlist01.txt", "Archery/v_Archery_g08_c01.avi 1\n")
    with pytest.raises(DataError, match=r"trainlist01\.txt:1: Archery has the number 2"):
        dataset("ucf101", tmp_path).records("train")
    write(lists / "trainlist01.txt", "Archery/v_Archery_g08_c01.avi 2\nFencing/v_F_g08_c01.avi 3\n")
    with pytest.raises(DataError, match=r"trainlist01\.txt:2: Fencing is not in classInd"):
        dataset("ucf101", tmp_path).records("train")


# ---- hmdb51


def test_hmdb51(tmp_path):
    """Unused clips are in no split, and no film in two."""
    found = dataset("hmdb51", make_hmdb51(tmp_path), val_share=0.3)
    assert found.class_names == ["brush_hair", "wave"]
    films = {}
    for split in ("train", "val", "test"):
        records = found.records(split)
        films[split] = {(Path(r.path).name.split("_")[0], r.label) for r in records}
        assert len(records) == 2 * len(films[split])
    assert {split: len(some) for split, some in films.items()} == {"train": 10, "val": 2, "test": 2}
    assert not films["train"] & films["val"]
    assert films["test"] == {("Film6", 0), ("Film6", 1)}
    assert found.records("val")[0].path.startswith(str(tmp_path / "hmdb51_org/brush_hair/Film"))
    assert found.source(found.records("test")[0]).session == "Film6"
    with pytest.raises(DataError, match=r"wave_test_split2\.txt:1|brush_hair_test_split2\.txt:1"):
        dataset("hmdb51", tmp_path, split=2).records("train")


# ---- kinetics


def test_kinetics(tmp_path):
    write(tmp_path / "train.csv", KINETICS)
    write(tmp_path / "val.csv", KINETICS.replace(",train", ",val"))
    found = dataset("kinetics", tmp_path)
    assert clips(found.records("train"), tmp_path) == [
        ("train/AbCdEfGhIjK_000037_000047.mp4", 0),
        ("train/-bCdEfGhIjK_000000_000010.mp4", 2),
        ("train/x_CdEfGhIjK_000003_000013.mp4", 1),
    ]
    assert found.class_names == ["juggling balls", "massaging person", "massaging person's head"]
    pattern = "videos_{split}/{label_}/{id}_{start}_{end}.mp4"
    moved = dataset("kinetics", tmp_path, path=pattern, test="val.csv")
    assert moved.records("test")[0].path.endswith(
        "videos_val/juggling_balls/AbCdEfGhIjK_000037_000047.mp4"
    )
    source = moved.source(moved.records("train")[2])
    assert source[:3] == ("x_CdEfGhIjK", 3, 13)


def test_kinetics_is_numbered_by_the_rule_that_is_asked_for(tmp_path):
    """A quote sorts before letters, an underscore after; 'names' sorts what is in the list."""
    rows = ['"""a b""",1,0,10,train', "a'c,2,0,10,train", "aZ,3,0,10,train", "a b c,4,0,10,train"]
    write(tmp_path / "train.csv", "label,youtube_id,time_start,time_end,split\n" + "\n".join(rows))
    plain = dataset("kinetics", tmp_path).class_names
    assert plain == ["a'c", "aZ", '"a b"', "a b c"]
    assert dataset("kinetics", tmp_path, order="names").class_names == sorted(plain)


def test_clips_that_are_gone_may_be_left_out(tmp_path):
    write(tmp_path / "train.csv", KINETICS)
    write(tmp_path / "train/-bCdEfGhIjK_000000_000010.mp4", "there")
    found = dataset("kinetics", tmp_path, skip_missing=True)
    assert [r.label for r in found.records("train")] == [2]
    assert len(found.class_names) == 3, "the classes are those of the list"


def test_kinetics_says_what_is_wrong_with_a_list(tmp_path):
    write(tmp_path / "train.csv", KINETICS)
    write(tmp_path / "test.csv", "label,youtube_id,time_start,time_end\n,AbC,1,11\n")
    with pytest.raises(DataError, match=r"test\.csv:2: .*no label"):
        dataset("kinetics", tmp_path).records("test")
    write(tmp_path / "test.csv", "youtube_id,time_start,time_end,split\nAbC,1,11,test\n")
    with pytest.raises(DataError, match="must have the columns label"):
        dataset("kinetics", tmp_path).records("test")
    with pytest.raises(ConfigError, match="PATH may hold"):
        dataset("kinetics", tmp_path, path="{nothing}.mp4")


# ---- ssv2


def test_ssv2(tmp_path):
    found = dataset("ssv2", make_ssv2(tmp_path))
    assert found.class_names == ["Dropping something", "Pushing something from left to right"]
    folder = "20bn-something-something-v2"
    assert clips(found.records("train"), tmp_path) == [(f"{folder}/90001.webm", 1)]
    assert clips(found.records("test"), tmp_path) == [(f"{folder}/7.webm", 1)]
    with pytest.raises(DataError, match="there is no val list"):
        found.records("val")
    write(tmp_path / "test.json", [{"id": "1"}])
    with pytest.raises(DataError, match="no template, as in the official test list"):
        dataset("ssv2", tmp_path, test="test.json").records("test")


# ---- epic_kitchens


def test_epic_kitchens_is_cut_by_timestamps(tmp_path):
    """Digits after the point are decimals of a second; start_frame is that of the JPEGs."""
    found = dataset("epic_kitchens", make_epic(tmp_path))
    assert found.class_names == ["take", "put", "wash"]
    assert of(found.records("train"), tmp_path) == [
        ("P99/videos/P99_07.MP4", 2, 62.71, 64.3),
        ("P99/videos/P99_107.MP4", 0, 3600.05, 3602.0),
    ]
    source = found.source(found.records("train")[1])
    assert source == ("P99_107", 3600.05, 3602.0, "P99")


def test_epic_kitchens_has_nouns_and_actions(tmp_path):
    nouns = dataset("epic_kitchens", make_epic(tmp_path), label="noun")
    assert nouns.class_names == ["lid", "cup"]
    assert [r.label for r in nouns.records("train")] == [1, 0], "of several nouns the first"
    actions = dataset("epic_kitchens", tmp_path, label="action")
    assert actions.class_names == ["take lid", "wash cup"]
    assert [r.label for r in actions.records("train")] == [1, 0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",wash,2,", ",wash,3,", r"csv:2: verb_class must be in \[0, 3\)"),
        ("00:01:04.30", "64.3", r"csv:2: a timestamp must be HH:MM:SS"),
        ("00:01:04.30", "00:01:01.30", r"csv:2: the clip must end after it starts"),
        ("P99_07,", "../x,", r"csv:2: video_id must look like"),
    ],
)
def test_wrong_rows_of_epic_kitchens_are_named(tmp_path, old, new, said):
    write(
        make_epic(tmp_path) / "annotations/EPIC_100_train.csv", EPIC_HEADER + EPIC.replace(old, new)
    )
    with pytest.raises(DataError, match=said):
        dataset("epic_kitchens", tmp_path)


@pytest.mark.parametrize("fps", [59.94, 50])
def test_epic_s_clips_are_where_their_timestamps_say_at_any_rate(tmp_path, fps):
    """By start_frame the first would be at another frame, late in a long file by far."""
    make_epic(tmp_path)
    row = "P99_07_1,P99,P99_07,00:00:00.0,00:00:04.00,00:00:05.00,240,300,x,wash,2,cup,1,[],[]\n"
    write(tmp_path / "annotations/EPIC_100_train.csv", EPIC_HEADER + row)
    path = tmp_path / "P99/videos/P99_07.MP4"
    path.parent.mkdir(parents=True)
    write_video(path, 330, (32, 32), fps=fps, options={"g": "30"})
    (record,) = dataset("epic_kitchens", tmp_path).records("train")
    span = (record.start, record.end)
    with VideoReader(record.path, None, span) as video:
        first, last = frame_range(video.times, video.end_s, *span)
        pictures = video.frames([first, last - 1])
    assert [read_number(p) for p in pictures] == [int(4 * fps + 1e-6), -int(-5 * fps // 1) - 1]


def test_epic_s_images_are_counted_by_start_frame(tmp_path):
    make_epic(tmp_path)
    folder = tmp_path / "P99/P99_07"
    folder.mkdir(parents=True)
    for number in range(1, 41):
        cv2.imwrite(str(folder / f"frame_{number:010d}.jpg"), numbered_frame(number, (32, 32)))
    row = "P99_07_1,P99,P99_07,00:00:00.0,00:00:00.50,00:00:00.60,31,36,x,wash,2,cup,1,[],[]\n"
    write(tmp_path / "annotations/EPIC_100_train.csv", EPIC_HEADER + row)
    found = dataset("epic_kitchens", tmp_path, frames=True, path="{participant}/{video}")
    (record,) = found.records("train")
    assert found.image_fps == 60
    with VideoReader(record.path, Decoding(image_fps=60), (record.start, record.end)) as video:
        first, last = frame_range(video.times, video.end_s, record.start, record.end)
        pictures = video.frames(np.arange(first, last))
    assert [read_number(picture) for picture in pictures] == [*range(31, 37)]


# ---- folders of images


def test_a_folder_of_images_is_a_video(tmp_path):
    for number in (1, 2, 3, 5, 10):
        picture = cv2.cvtColor(numbered_frame(number, (40, 60)), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / f"img_{number:05d}.png"), picture)
    (tmp_path / "notes.txt").write_text("no image")
    with VideoReader(str(tmp_path), Decoding(image_fps=10)) as video:
        assert (video.num_frames, video.size, video.fps) == (5, (40, 60), 10)
        assert video.times == pytest.approx([0, 0.1, 0.2, 0.4, 0.9])
        assert video.end_s == pytest.approx(1.0)
        pictures = video.frames([4, 0])
    np.testing.assert_array_equal(pictures[0], numbered_frame(10, (40, 60)))
    assert [read_number(picture) for picture in pictures] == [10, 1]


def test_numbers_are_numbers_not_text_and_may_begin_with_0(tmp_path):
    for number in (0, 1, 2, 10):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), numbered_frame(number, (32, 32)))
    with VideoReader(str(tmp_path)) as video:
        assert [read_number(p) for p in video.frames(range(4))] == [0, 1, 2, 10]
        assert video.times[0] == 0


def test_folders_that_are_no_clip_are_named(tmp_path):
    with pytest.raises(DecodeError, match="the folder has no images"):
        VideoReader(str(tmp_path))
    cv2.imwrite(str(tmp_path / "a_1.png"), numbered_frame(1, (32, 32)))
    cv2.imwrite(str(tmp_path / "b_01.png"), numbered_frame(1, (32, 32)))
    with pytest.raises(DecodeError, match=r"two images have the number 1: a_1\.png, b_01\.png"):
        VideoReader(str(tmp_path))
    (tmp_path / "b_01.png").rename(tmp_path / "b_2.png")
    cv2.imwrite(str(tmp_path / "b_2.png"), numbered_frame(1, (30, 32)))
    with VideoReader(str(tmp_path)) as video, pytest.raises(DecodeError, match="one size"):
        video.frames([0, 1])
    (tmp_path / "b_2.png").write_bytes(b"broken")
    with VideoReader(str(tmp_path)) as video, pytest.raises(DecodeError, match=r"b_2\.png: "):
        video.frames([0, 1])


# ---- sampling by time


def test_sampling_by_time_takes_the_same_moments_at_any_frame_rate():
    seconds = {}
    for fps in (25, 30, 60, 59.94):
        times = np.arange(int(4 * fps)) / fps
        sampling = ClipSampling(num_frames=8, sampling="dense", sampling_rate=4, sampling_fps=15)
        chosen = sampling.indices(0, len(times), times=times)
        seconds[fps] = times[chosen]
    for found in seconds.values():
        np.testing.assert_allclose(np.diff(found), 4 / 15, atol=1 / 25)
        np.testing.assert_allclose(found, seconds[60], atol=0.08)


def test_sampling_by_time_follows_a_variable_rate():
    """Half of the frames lie in the first tenth; by number half of the clip would be of it."""
    times = np.concatenate([np.arange(50) / 50, 1 + np.arange(50) / 5])
    sampling = ClipSampling(num_frames=10, sampling_fps=5)
    chosen = sampling.indices(0, 100, times=times)
    np.testing.assert_allclose(times[chosen], (np.arange(10) + 0.5) * 1.1, atol=0.35)
    assert (ClipSampling(num_frames=10).indices(0, 100, times=times) < 50).sum() == 5
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = sampling.indices(20, 90, rng=rng, times=times)
        assert drawn.min() >= 20
        assert drawn.max() < 90
    assert sampling.indices(3, 4, times=times).tolist() == [3] * 10
