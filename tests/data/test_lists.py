"""One reader for the lists of all commands: names of columns, times, paths, folders."""

import os

import numpy as np
import pytest

from cdb_video.data.datasets.clips import Clips
from cdb_video.data.lists.found import find_videos
from cdb_video.data.lists.times import seconds
from cdb_video.errors import DataError


def clips_of(folder, text, **options):
    for name in ("train", "val"):
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return Clips(Clips.Options(root=str(folder), **options))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("path,label,start,end", "a.mp4,x,1,2.5"),
        ("Path , LABEL,Start,END", " a.mp4 , x ,1 , 2.5"),
        ("path,label,start,stop", "a.mp4,x,1,2.5"),
        ("path,label,start_time,end_time", "a.mp4,x,1.0 s,2.5 sec"),
        ("path,label,Start (s),Stop (s)", "a.mp4,x,1,2.5"),
        ("path,label,startTime,endTime", "a.mp4,x,0:00:01,0:02.5"),
        ("path,label,start_ms,end_ms", "a.mp4,x,1000,2500"),
        ("path,label,onset,offset", "a.mp4,x,1,2.5"),
        ("path,label,begin,duration", "a.mp4,x,1,1.5"),
        ("path,label,start,duration,end", "a.mp4,x,1,1.5,2.5"),
        ("path,label,start_frame,end_frame,fps", "a.mp4,x,24,60,24"),
        ("path,label,start_timestamp,stop_timestamp,start_frame", "a.mp4,x,1,2.5,999"),
        ("path;label;start;end", "a.mp4;x;1,0;2,5"),
        ("path\tlabel\tstart\tend", "a.mp4\tx\t1\t2,5"),
        ("\ufeffvideo,class,start,end", "a.mp4,x,1,2.5"),
        ("sep=;\npath;label;start;end", "a.mp4;x;1;2.5"),
        (",,,\n\npath,label,start,end", ",,,\na.mp4,x,1,2.5"),
        ("File_Name,behavior,start,end", "a.mp4,x,1,'2.5'".replace("'", '"')),
    ],
)
def test_times_are_read_however_people_write_them(tmp_path, header, row):
    dataset = clips_of(tmp_path, f"{header}\n{row}\n")
    (record,) = dataset.records("train")
    assert (record.start, record.end) == pytest.approx((1.0, 2.5))
    assert record.path == str(tmp_path / "a.mp4")
    assert dataset.class_names == ["x"]
    (tmp_path / "a.mp4").write_bytes(b"")
    (found,) = find_videos([tmp_path / "train.csv"])
    assert (found.path, found.start, found.end) == (record.path, record.start, record.end)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path,label,start_frame,end_frame", "count frames: add a column fps"),
        ("path,label,start,stop,end", "names end more than once: stop, end"),
        ("path,label,start_of_day,end", "start_of_day looks like a time, and is not used"),
        ("path,label,clip start x", "clip start x looks like a time"),
        ("path,label,offset", "offset looks like a time"),
        ("video,clip,label", "any of video, clip may be the path: call the right one path"),
        ("path,class,action", "any of class, action may be the label"),
        ("path,label,Path", "names path more than once"),
    ],
)
def test_a_column_that_might_be_a_time_is_used_or_refused(tmp_path, header, message):
    with pytest.raises(DataError, match=message):
        clips_of(tmp_path, f"{header}\na.mp4,x,1,2,3\n")


def test_columns_that_are_not_used_are_named_once(tmp_path):
    dataset = clips_of(tmp_path, "path,label,subject,fps\na.mp4,x,ann,24\nb.mp4,y,bob,24\n")
    assert [note.partition(": ")[2] for note in dataset.notes] == [
        "columns that are not used: subject, fps"
    ] * 2
    told = []
    (tmp_path / "a.mp4").write_bytes(b"")
    find_videos([tmp_path / "train.csv"], tell=told.append)
    assert told == [f"{tmp_path / 'train.csv'}: columns that are not used: subject, fps"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *(
            ("62.5", 62.5),
            ("62,5", 62.5),
            ("62.5 s", 62.5),
            ("1:02.5", 62.5),
            ("01:01:02.5", 3662.5),
        ),
        *(("500ms", 0.5), ("2 min", 120.0), ("1e1", 10.0), ("0", 0.0), (" 7 ", 7.0)),
    ],
)
def test_a_time_in_a_cell(text, wanted):
    assert seconds(text) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "text", ["-1", "nan", "inf", "1:75", "1:02:03:04", "x", "1,234", "3 h 2", "s", "1:-2", "1e400"]
)
def test_what_is_no_time_says_what_to_write(text):
    with pytest.raises(ValueError, match="write seconds, such as 62"):
        seconds(text)
    assert seconds("1,234", comma_is_decimal=True) == 1.234


def test_a_list_of_windows_works_here(tmp_path):
    (tmp_path / "day 1").mkdir()
    (tmp_path / "day 1" / "a.mp4").write_bytes(b"")
    (tmp_path / r"odd\b.mp4").write_bytes(b"")
    text = "path,label\n" + "day 1\\a.mp4,x\n" + "odd\\b.mp4,y\n"
    paths = [str(tmp_path / "day 1" / "a.mp4"), str(tmp_path / r"odd\b.mp4")]
    assert [record.path for record in clips_of(tmp_path, text).records("train")] == paths
    assert [record.path for record in find_videos([tmp_path / "train.csv"])] == paths
    with pytest.raises(DataError, match="the path must lie under"):
        clips_of(tmp_path, "path,label\n..\\a.mp4,x\n")


def test_paths_of_a_list_begin_at_root(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.mp4").write_bytes(b"")
    (tmp_path / "l.csv").write_text("path\na.mp4\n")
    with pytest.raises(DataError, match="none of its files is there, .*; --root names the folder"):
        find_videos([tmp_path / "l.csv"])
    (found,) = find_videos([tmp_path / "l.csv"], tmp_path / "data")
    assert found.path == str(tmp_path / "data" / "a.mp4")


def test_a_folder_is_searched_once_and_says_what_it_leaves_out(tmp_path):
    for name in ("day/a.mp4", "day/B.H264", "day/._a.mp4", ".Trashes/c.mp4", "notes.txt", "d.asf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    os.symlink(tmp_path, tmp_path / "day" / "all")
    os.symlink(tmp_path / "day", tmp_path / "again")
    os.mkfifo(tmp_path / "pipe.mp4")
    told = []
    found = find_videos([tmp_path], tell=told.append)
    names = [os.path.basename(record.path) for record in found]
    assert sorted(names) == ["B.H264", "a.mp4", "d.asf"]
    assert any("pipe.mp4 is passed over: it is a named pipe" in line for line in told)
    assert any("passed over: 1 .txt" in line for line in told)
    with pytest.raises(DataError, match=r"pipe\.mp4, a named pipe"):
        find_videos([tmp_path / "pipe.mp4"])


def test_numbered_images_alone_in_a_folder_are_a_clip(tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "clip" / f"img_{number:05d}.jpg").write_bytes(b"")
        (tmp_path / "photos" / f"{'abc'[number]}{number}.jpg").write_bytes(b"")
    told = []
    found = find_videos([tmp_path], tell=told.append)
    assert [os.path.relpath(record.path, tmp_path) for record in found] == [
        "clip",
        *(f"photos/{name}.jpg" for name in ("a0", "b1", "c2")),
    ]
    assert ["its 3 numbered images are the frames of one clip" in line for line in told] == [True]


def test_a_million_plain_rows_are_read_at_once(tmp_path, monkeypatch):
    rows = "".join(f"a/{n}.mp4,x,{n},{n + 0.5}\n" for n in range(2_000))
    module = "cdb_video.data.lists.clip_lists._one_by_one"
    monkeypatch.setattr(module, lambda *words: pytest.fail("row by row"))
    records = clips_of(tmp_path, "path,label,start,stop\n" + rows).records("train")
    np.testing.assert_allclose(records.spans[-1], (1999, 1999.5))
