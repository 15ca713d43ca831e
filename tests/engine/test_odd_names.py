"""Names as people have them: of any bytes, with colons, markup and formulas; and odd lists."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from videos import write_video

from cdb_video.commands import run as run_command
from cdb_video.data.decode import DecodeError, VideoReader
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.loop import train
from cdb_video.errors import ConfigError, DataError
from cdb_video.output.run_folder import RunFolder
from cdb_video.report.page import write_report
from cdb_video.system.csv_rows import header, read_rows, write_csv


class Row(NamedTuple):
    """A line of a table."""

    name: str
    number: int


@pytest.fixture
def pictures(tmp_path):
    """An image folder: a picture whose name is not UTF-8, and classes whose names are awkward."""
    from PIL import Image

    root = tmp_path / "pictures"
    for split in ("train", "val", "test"):
        for label, name in enumerate(("=1+1", "<b>x</b> $a$", "[/y]")):
            # The two forms of an accent are one class.
            folder = (
                root
                / split
                / (name + ("e\u0301" if split == "val" else "\u00e9")).replace("/", "∕")
            )
            folder.mkdir(parents=True)
            for number in range(3):
                picture = np.full((16, 16, 3), 60 * label + number, np.uint8)
                path = folder / f"{number}.png"
                Image.fromarray(picture).save(path)
            os.rename(path, os.fsencode(folder) + b"/\xff\xfe 12:30.png")
    return root


def test_a_run_takes_and_gives_back_any_name(configured, pictures, capsys):
    words = ("DATA.NAME", "image_folder", "DATA.IMAGE_FOLDER.ROOT", pictures, "DATA.NUM_FRAMES", 1)
    config = configured("out [/x]", *words, "SOLVER.MAX_EPOCH", 1)
    train(config)
    assert run_test(config)["num_samples"] == 9
    folder = RunFolder(config.output_dir)
    paths = [row.path for row in folder.predictions()]
    assert sum(os.path.exists(path) for path in paths) == 9
    assert sum("\udcff\udcfe 12:30.png" in path for path in paths) == 3
    names = sorted(["=1+1\u00e9", "<b>x<∕b> $a$\u00e9", "[∕y]\u00e9"])
    assert [row.name for row in folder.per_class()] == names
    assert folder.confusion().names == names
    page = write_report(folder.path).read_text()
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    text = (folder.path / "test" / "per_class.csv").read_text()
    assert "'=1+1" in text
    assert not any(cell.startswith("=") for line in text.splitlines() for cell in line.split(","))


@pytest.mark.parametrize("cell", ["=A1", "+1", "-x", "@y", "'=A1", "''=", "plain", "'quoted'", ""])
def test_no_cell_is_a_formula_and_each_is_read_back(tmp_path, cell):
    write_csv(tmp_path / "rows.csv", [header(Row), Row(cell, -1)])
    assert read_rows(tmp_path / "rows.csv", Row) == [(cell, -1)]
    assert (tmp_path / "rows.csv").read_text().splitlines()[1][0] not in "=+-@"


@pytest.mark.parametrize("name", ["12:30:05.mp4", "http:x.mp4", "concat:a|b.mp4", "%03d [x].mp4"])
def test_a_colon_is_a_colon(tmp_path, monkeypatch, name):
    write_video(tmp_path / "plain.mp4", 5).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with VideoReader(name) as reader:
        assert reader.num_frames == 5


def test_nothing_is_fetched_that_a_file_names(tmp_path):
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DecodeError, match="it is text"):
        VideoReader(path)


def test_a_folder_whose_name_is_no_text_is_one_line(configured, pictures, capsys):
    os.mkdir(os.fsencode(pictures / "train") + b"/\xff")
    words = ("DATA.NAME", "image_folder", "DATA.IMAGE_FOLDER.ROOT", pictures)
    with pytest.raises(DataError, match="the name of a class must be UTF-8 text"):
        train(configured("out", *words))


def test_what_is_seldom_meant_is_said(configured, colour_clips, tmp_path, capsys):
    root = tmp_path / "odd"
    shutil.copytree(colour_clips, root)
    rows = [f"train {name} 0.mp4,{n + 1}" for n, name in enumerate(("blue", "green", "red"))]
    for split in ("train", "val", "test"):
        (root / f"{split}.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    train(
        configured(
            "out",
            "DATA.CLIPS.ROOT",
            root,
            "SOLVER.MAX_EPOCH",
            1,
            "SOLVER.STEPS",
            "[0]",
            "SOLVER.LRS",
            "[1]",
        )
    )
    said = capsys.readouterr().err
    assert "warning: 1 classes have no training clip: 0; are labels counted from 1?" in said
    assert "warning: 3 clips are in train and in val, such as " in said


def test_a_batch_that_batch_norm_cannot_take_is_one_line(configured, colour_clips, tmp_path):
    root = tmp_path / "one"
    shutil.copytree(colour_clips, root)
    (root / "train.csv").write_text("path,label\ntrain blue 0.mp4,blue\n")
    words = ("DATA.CLIPS.ROOT", root, "DATA.CLIPS.CLASSES", "[blue, green, red]")
    small = ("DATA.CROP_SIZE", 8, "DATA.NUM_FRAMES", 1)
    with pytest.raises(ConfigError, match=r"TRAIN\.BATCH_SIZE must give batch norm more than one"):
        train(configured("out", *words, *small))


@pytest.mark.parametrize("name", ["log.jsonl", "difficulty.csv", "quarantine.jsonl"])
def test_junk_in_the_files_of_a_run_does_not_stop_it(configured, name):
    train(configured("out", "SOLVER.MAX_EPOCH", 3))
    path = Path(configured("out").output_dir) / name
    junk = b'{"kind": 3}\n{"kind": "val", "epoch": "x"}\n[]\n\xff\xfe\0,,\n"'
    path.write_bytes(path.read_bytes() + junk if path.exists() else junk)
    train(configured("out"))
    assert run_test(configured("out"))["num_samples"] == 7
    write_report(path.parent)


def test_what_the_system_refuses_is_one_line(tiny_yaml, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code = run_command(
        "train", ["--cfg", str(tiny_yaml), "OUTPUT_DIR", str(tmp_path / "file" / "x")]
    )
    assert code == 2
    assert "OUTPUT_DIR must be a folder to write in" in capsys.readouterr().err
