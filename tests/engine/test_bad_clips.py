"""Bad clips in real runs: one does not end a run, many do, and all are named."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.retrain.retrain import retrain
from cdb_video.engine.train.loop import train
from cdb_video.errors import DataError, DecodeError
from cdb_video.models.weights.files import read_checkpoint
from cdb_video.output.run_folder import RunFolder
from cdb_video.report.page import write_report


@pytest.fixture
def damaged(configured, colour_clips, tmp_path):
    """(output folder name, *words) -> Config, with a clip of each split that does not decode."""
    root = tmp_path / "damaged"
    shutil.copytree(colour_clips, root)
    (root / "train red 1.mp4").write_bytes(b"no video")
    (root / "val blue 1.mp4").unlink()
    whole = (root / "test blue 0.mp4").read_bytes()
    (root / "test blue 0.mp4").write_bytes(whole[: len(whole) // 2])
    return lambda name="out", *words: configured(name, "DATA.CLIPS.ROOT", root, *words)


def names(rows):
    return [(Path(row.path).name, row.split, row.stage, row.class_name) for row in rows]


TRAINED = [
    ("train red 1.mp4", "train", "train", "red"),
    ("val blue 1.mp4", "val", "validate", "blue"),
]


def test_a_run_goes_on_and_names_them(damaged, capsys):
    config = damaged()
    train(config)
    folder = RunFolder(config.output_dir)
    assert names(folder.bad_clips()) == TRAINED
    assert [row.epoch for row in folder.bad_clips()] == [1, 1]
    assert folder.bad_clips()[0].reason.endswith("train red 1.mp4: it is text")
    said = capsys.readouterr().err
    assert said.count("1 bad train clips (red 1), 1 in all") == 1
    records, _ = folder.records()
    assert {r["num_samples"] for r in records if r["kind"] == "val"} == {5}
    assert {r["num_bad_clips"] for r in records if r["kind"] == "val"} == {1}
    assert {row.n_val for row in folder.difficulties()} == {1, 2}
    metrics = run_test(config)
    assert (metrics["num_samples"], metrics["num_bad_clips"]) == (6, 1)
    assert names(folder.bad_clips())[2:] == [("test blue 0.mp4", "test", "test", "blue")]
    [row] = [row for row in folder.predictions() if "test blue 0" in row.path]
    assert (row.predicted, row.score) == (-1, 0)
    assert [row.n_test for row in folder.per_class()] == [2, 2, 2]
    page = write_report(folder.path).read_text()
    assert "train red 1.mp4: it is text" in page
    assert "bad clips <b>1</b>" in page


def test_a_bad_clip_may_count_as_not_recognised(damaged):
    config = damaged("out", "TEST.ON_BAD_CLIP", "wrong", "SOLVER.MAX_EPOCH", 1)
    train(config)
    metrics = run_test(config)
    assert (metrics["num_samples"], metrics["num_bad_clips"]) == (7, 1)
    [blue, *_] = RunFolder(config.output_dir).per_class()
    assert (blue.n_test, blue.recall) in [(3, pytest.approx(n / 3)) for n in range(3)]


def test_a_resumed_run_replaces_them_in_the_same_way(damaged):
    whole = damaged("whole")
    train(whole)
    for epochs in (1, 2, 4):
        train(damaged("parts", "SOLVER.MAX_EPOCH", epochs))
    ends = [
        read_checkpoint(RunFolder(path).latest)["model_state"]
        for path in (whole.output_dir, damaged("parts").output_dir)
    ]
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    assert names(RunFolder(damaged("parts").output_dir).bad_clips()) == TRAINED


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_ends_the_run_at_the_first(damaged, tmp_path, workers):
    words = ("DATA.ON_BAD_CLIP", "stop", "DATA_LOADER.NUM_WORKERS", workers)
    with pytest.raises(DataError, match=r"1 of 6 clips are missing under .*val blue 1\.mp4"):
        train(damaged("out", *words))
    assert not (tmp_path / "out").exists()
    with pytest.raises(DecodeError, match=r"train red 1\.mp4: it is text"):
        train(damaged("out", *words, "TRAIN.EVAL_PERIOD", 0, "LOSS.NAME", "cross_entropy"))


def test_too_many_end_the_run_with_their_reasons(damaged, tmp_path):
    (tmp_path / "damaged" / "train green 0.mp4").write_bytes(b"")
    many = ("DATA.MAX_BAD_FRACTION", 0.2)
    train(damaged("allowed", *many, "SOLVER.MAX_EPOCH", 1))
    with pytest.raises(DataError, match=r"2 of 11 train clips are bad, more than .* 0\.01 .*empty"):
        train(damaged("refused"))
    for name in ("train green 0.mp4", "train red 1.mp4"):
        (tmp_path / "damaged" / name).unlink()
    with pytest.raises(DataError, match="2 of 11 clips are missing"):
        train(damaged("missing"))


def test_a_clip_that_hangs_is_bad_and_the_run_ends_as_if_it_were_text(
    damaged, tmp_path, monkeypatch
):
    monkeypatch.setattr("cdb_video.data.decode.what_it_is", lambda path: "")
    words = ("DATA_LOADER.NUM_WORKERS", 1, "SOLVER.MAX_EPOCH", 2)
    train(damaged("text", *words))
    pipe = tmp_path / "damaged" / "train red 1.mp4"
    pipe.unlink()
    os.mkfifo(pipe)
    # A pipe is no file, and so found missing with the first look; here it is let through.
    config = damaged("hangs", *words, "DATA_LOADER.CLIP_TIMEOUT", 1)
    train(config)
    [row, _] = RunFolder(config.output_dir).bad_clips()
    assert "not decoded within 1 s" in row.reason
    logs = [
        [json.loads(line) for line in RunFolder(damaged(name).output_dir).log.open()]
        for name in ("text", "hangs")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("method", ["crt", "ncm"])
def test_a_classifier_is_retrained_without_them(damaged, method):
    config = damaged("out", "RETRAIN.METHOD", method, "SOLVER.MAX_EPOCH", 1)
    train(config)
    metrics = retrain(config)
    assert (metrics["num_samples"], metrics["num_bad_clips"]) == (6, 1)
    assert len(RunFolder(config.output_dir).bad_clips()) == 3
