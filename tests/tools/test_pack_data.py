import csv
import json
import os
import shutil

import av
import cv2
import numpy as np
import pytest
from videos import numbered_frame, read_number, write_video

from cdb_video.commands import main
from cdb_video.data.datasets.clips import Clips
from cdb_video.data.decode import VideoReader
from cdb_video.data.lists.records import Record
from cdb_video.data.pack import packing
from cdb_video.data.pack.done import PackedFiles
from cdb_video.data.pack.packing import Packing
from cdb_video.errors import DecodeError

CONFIG = "configs/clips_cdb.yaml"


@pytest.fixture
def raw(tmp_path):
    """A folder with six clips of two classes, one rotated, one of a variable rate, one an image."""
    root = tmp_path / "raw"
    (root / "a").mkdir(parents=True)
    for n in range(4):
        write_video(root / f"a/{n}.mp4", 20 + n, size=(96, 130), options={"g": "250", "bf": "2"})
    write_video(
        root / "uneven.mkv", 12, size=(64, 64), ticks=[0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 20]
    )
    cv2.imwrite(str(root / "one.png"), numbered_frame(3, (64, 64)))
    names = ["a/0.mp4", "a/1.mp4", "a/2.mp4", "a/3.mp4", "uneven.mkv", "one.png"]
    rows = "".join(f"{name},{'xy'[n % 2]}\n" for n, name in enumerate(names))
    (root / "train.csv").write_text("path,label\n" + rows)
    (root / "val.csv").write_text("path,label\na/0.mp4,x\n")
    return root


def pack(root, out, *words):
    return main(
        ["pack-data", "--cfg", CONFIG, "--out", str(out), *words, "DATA.CLIPS.ROOT", str(root)]
    )


def facts(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-2])


def frames_of(path):
    with VideoReader(str(path)) as video:
        return video.times, video.frames(np.arange(video.num_frames))


def test_packed_clips_have_the_same_frames_at_the_same_times(raw, tmp_path, capsys):
    out = tmp_path / "out"
    assert pack(raw, out, "--side", "64") == 0
    assert facts(capsys)["packed"] == 6
    assert (out / "train.csv").read_text() == (raw / "train.csv").read_text()
    for name in ("a/3.mp4", "uneven.mkv"):
        (times, before), (packed_times, after) = frames_of(raw / name), frames_of(out / name)
        np.testing.assert_allclose(packed_times - packed_times[0], times - times[0], atol=1e-3)
        assert [*map(read_number, after)] == [*map(read_number, before)] == [*range(len(times))]
        # 96 x 130 becomes 64 x 86: even, and in proportion.
        assert after.shape[1:3] == ((64, 86) if name == "a/3.mp4" else (64, 64))
        expected = [
            cv2.resize(f, after.shape[2:0:-1], interpolation=cv2.INTER_AREA) for f in before
        ]
        assert np.abs(after.astype(int) - expected).mean() < 6
    assert (out / "one.png").read_bytes() == (raw / "one.png").read_bytes()


def test_a_frame_of_a_packed_clip_needs_few_others(tmp_path):
    write_video(tmp_path / "raw.mp4", 40, size=(64, 64))
    packing.pack(
        Record(str(tmp_path / "raw.mp4"), 0), tmp_path / "x.mp4", Packing(), packing.Decoding()
    )
    with av.open(str(tmp_path / "x.mp4")) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        assert [n for n, p in enumerate(packets) if p.is_keyframe] == [0, 8, 16, 24, 32]
        container.seek(0)
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        # Of each eight the key frame and two that others refer to.
        assert sum(1 for _ in container.decode(video=0)) == 15


@pytest.mark.parametrize("what", ["clips", "root"])
def test_links_are_followed_and_keep_their_names(raw, tmp_path, capsys, what):
    """Data sets are often a folder of links into an archive of clips."""
    root = tmp_path / "links"
    if what == "root":
        root.symlink_to(raw)
    else:
        root.mkdir()
        (root / "a").symlink_to(raw / "a")
        for path in raw.glob("*.*"):
            (root / path.name).symlink_to(path)
    assert pack(root, tmp_path / "out", "--side", "64") == 0
    assert facts(capsys)["packed"] == 6
    assert (tmp_path / "out" / "a" / "3.mp4").stat().st_size > 0


def test_a_folder_of_images_becomes_one_file(tmp_path, capsys):
    root = tmp_path / "frames"
    for number in range(1, 13):
        path = root / "clip" / f"img_{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), numbered_frame(number, (64, 64))[..., ::-1])
    (root / "train.csv").write_text("path,label\nclip,x\n")
    assert pack(root, tmp_path / "out") == 0
    total = sum(path.stat().st_size for path in (root / "clip").iterdir())
    assert facts(capsys)["bytes_before"] == total
    times, pictures = frames_of(tmp_path / "out" / "clip")
    assert [*map(read_number, pictures)] == [*range(1, 13)]
    assert times[1] == pytest.approx(1 / 30, abs=1e-3)


def test_it_goes_on_and_is_shared_out(raw, tmp_path, capsys):
    out = tmp_path / "out"
    assert pack(raw, out, "--shard", "1/2") == 0
    assert facts(capsys)["packed"] == 3
    assert pack(raw, out, "--workers", "1") == 0
    found = facts(capsys)
    assert (found["packed"], found["there_before"]) == (3, 3)


def test_what_cannot_be_packed_is_named_and_the_rest_is_there(raw, tmp_path, capsys):
    (raw / "a/1.mp4").write_bytes(b"<html>not found</html>")
    assert pack(raw, tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "not packed" in said
    assert "a/1.mp4" in said
    assert not (tmp_path / "out/a/1.mp4").exists()
    assert (tmp_path / "out/a/3.mp4").exists()
    assert not [name for name in os.listdir(tmp_path / "out/a") if "partial" in name]


def test_a_clip_that_kills_its_process_costs_no_other(raw, tmp_path, capsys, monkeypatch):
    original = packing.write_mp4

    def deadly(path, *arguments):
        if path.parent.name == "a" and "2.mp4" in path.name:
            os._exit(9)
        original(path, *arguments)

    monkeypatch.setattr(packing, "write_mp4", deadly)
    assert pack(raw, tmp_path / "out", "--workers", "2") == 1
    assert "the process that packed it died" in capsys.readouterr().out
    assert len([*(tmp_path / "out/a").glob("?.mp4")]) == 3


def test_parts_of_long_files_become_files(tmp_path):
    root, out = tmp_path / "raw", tmp_path / "out"
    root.mkdir()
    write_video(root / "long.mp4", 96, size=(64, 64), options={"g": "12"})
    (root / "train.csv").write_text("path,label,start,end\nlong.mp4,b,1,2\nlong.mp4,a,2.5,\n")
    (root / "val.csv").write_text("path,label,start,end\nlong.mp4,b,,0.5\n")
    assert pack(root, out) == 0
    with open(out / "train.csv", newline="") as file:
        rows = [*csv.reader(file)]
    assert rows == [
        ["path", "label"],
        ["long/1.000-2.000.mp4", "b"],
        ["long/2.500-end.mp4", "a"],
    ]
    _, pictures = frames_of(out / rows[1][0])
    assert [*map(read_number, pictures)] == [*range(24, 48)]
    _, pictures = frames_of(out / "long/0.000-0.500.mp4")
    assert [*map(read_number, pictures)] == [*range(12)]


def test_a_file_that_lost_a_frame_is_refused(raw, tmp_path, monkeypatch):
    original = packing.write_mp4

    def careless(path, pictures, *arguments):
        original(path, list(pictures)[:-1], *arguments)

    monkeypatch.setattr(packing, "write_mp4", careless)
    out = tmp_path / "x.mp4"
    with pytest.raises(DecodeError, match=r"the packed file has 19 frames instead of 20"):
        packing.pack(Record(str(raw / "a/0.mp4"), 0), out, Packing(), packing.Decoding())
    assert not out.exists()


def test_another_picture_is_refused(raw, tmp_path, monkeypatch):
    original = packing.write_mp4

    def upside_down(path, pictures, *arguments):
        original(path, ((second, picture[::-1]) for second, picture in pictures), *arguments)

    monkeypatch.setattr(packing, "write_mp4", upside_down)
    clip = (Record(str(raw / "a/0.mp4"), 0), tmp_path / "x.mp4", Packing(), packing.Decoding())
    with pytest.raises(
        DecodeError, match=r"the packed file has a picture that differs too much, PSNR \d+\.\d dB"
    ):
        packing.pack(*clip)


def test_wrong_input_is_one_line(raw, tmp_path, capsys):
    assert pack(raw, raw) == 2
    assert "--out must be another folder" in capsys.readouterr().err
    shutil.copy(raw / "a/0.mp4", tmp_path / "outside.mp4")
    (raw / "val.csv").write_text("path,label\n../outside.mp4,x\n")
    allowed = ("DATA.CLIPS.ALLOW_OUTSIDE", "true")
    words = [
        "pack-data",
        "--cfg",
        CONFIG,
        "--out",
        str(tmp_path / "o"),
        "DATA.CLIPS.ROOT",
        str(raw),
    ]
    assert main([*words, *allowed]) == 2
    assert "clips must lie under" in capsys.readouterr().err


def two_files(root, rows, header="path,label,start,end"):
    """``rec.mp4`` with the numbers from 0, ``rec.avi`` with those from 100."""
    root.mkdir(exist_ok=True)
    size = (64, 96)
    write_video(root / "rec.mp4", 48, size)
    pictures = [numbered_frame(100 + n, size) for n in range(48)]
    write_video(root / "rec.avi", 48, size, "mpeg4", frame=lambda n: pictures[n])
    for name in ("train.csv", "val.csv"):
        (root / name).write_text("\n".join([header, *rows]) + "\n")
    return root


def first_numbers(out):
    with open(out / "train.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    paths = [out / row["path"] for row in rows]
    return {
        row["label"]: read_number(frames_of(p)[1][0]) for row, p in zip(rows, paths, strict=True)
    }


def test_no_two_clips_are_packed_as_one_file(tmp_path):
    rows = ["rec.mp4,a,0,1", "rec.avi,b,0,1", "rec.mp4,c,0.5,1", "rec.mp4,d,0.5,1.0004"]
    rows.append("rec.mp4,e,0.4999,1.0004")
    root = two_files(tmp_path / "raw", rows)
    assert pack(root, tmp_path / "out") == 0
    assert first_numbers(tmp_path / "out") == {"a": 0, "b": 100, "c": 12, "d": 12, "e": 12}


def test_lists_with_absolute_paths_name_the_packed_files(tmp_path):
    raw = tmp_path / "raw"
    root = two_files(raw, [f"{raw / 'rec.mp4'},a", f"{raw / 'rec.avi'},b"], "path,label")
    assert pack(root, tmp_path / "out") == 0
    assert first_numbers(tmp_path / "out") == {"a": 0, "b": 100}
    shutil.rmtree(root)
    dataset = Clips(Clips.Options(root=str(tmp_path / "out")))
    dataset.check_files(dataset.records("train"))


def test_what_has_changed_is_packed_again(raw, tmp_path, capsys):
    out = tmp_path / "out"
    pack(raw, out)
    assert facts(capsys)["packed"] == 6
    write_video(raw / "a/0.mp4", 31, size=(96, 130))
    (out / "a/1.mp4").write_bytes(b"eleven bytes"[:11])
    pack(raw, out)
    assert (facts(capsys)["packed"], len(frames_of(out / "a/0.mp4")[0])) == (2, 31)
    assert len(frames_of(out / "a/1.mp4")[0]) == 21
    pack(raw, out, "--side", "64")
    assert facts(capsys)["packed"] == 6
    with VideoReader(str(out / "a/1.mp4")) as video:
        assert min(video.size) == 64
    (out / "packed_0_of_1.jsonl").write_bytes(b"null\n\xff\n" + b"[" * 100_000)
    pack(raw, out, "--side", "64")
    assert facts(capsys)["packed"] == 6


def test_two_processes_do_not_pack_into_one_folder(raw, tmp_path, capsys):
    with PackedFiles(tmp_path / "out", Packing(), (0, 1)).held():
        assert pack(raw, tmp_path / "out") == 2
    assert "out is in use by pid" in capsys.readouterr().err


def test_a_named_pipe_is_no_clip(raw, tmp_path, capsys):
    (raw / "a/0.mp4").unlink()
    os.mkfifo(raw / "a/0.mp4")
    assert pack(raw, tmp_path / "out") == 1
    assert "a/0.mp4: it is a named pipe, not a file" in capsys.readouterr().out
