"""What is saved stays good: killed, out of room, damaged, gone, or not worth saving."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_steps import assert_same_runs, states

from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.loop import train
from cdb_video.errors import CheckpointError, DataError, TrainingError
from cdb_video.models.weights.files import read_checkpoint
from cdb_video.output.run_folder import RunFolder

KILL_POINTS = Path(__file__).with_name("kill_points.py")


def test_killed_before_any_change_to_a_file_a_run_ends_the_same(tiny_yaml, tmp_path):
    """Every 29th of them; ``make test-faults`` takes each. ``best.pt`` was lost for good where
    the kill came between it and ``latest.pt``."""
    tiny_yaml.write_text(tiny_yaml.read_text().replace("MAX_EPOCH: 4", "MAX_EPOCH: 2"))
    text = tiny_yaml.read_text().replace("STEPS: [0, 3]", "STEPS: [0, 1]")
    tiny_yaml.write_text(text.replace("TRAIN: {", "TRAIN: {KEEP_CHECKPOINTS: 1, "))
    done = subprocess.run(
        [sys.executable, KILL_POINTS, tiny_yaml, tmp_path / "runs", "29"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["points"] > 40
    assert found["tried"] >= 2
    assert found["wrong"] == []


@pytest.fixture
def trained(configured):
    """A run of four epochs, and what it ended with."""
    config = configured("out")
    train(config)
    return config, RunFolder(config.output_dir), states(config.output_dir)


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.unlink()  # latest.pt is the same file as that of its epoch
    path.write_bytes(content)


def end_early(folder):
    """As if the run had been cut off after its third epoch, and the last checkpoint damaged."""
    last = folder.of_epoch(4)
    damage(last)
    folder.latest.unlink()
    os.link(last, folder.latest)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(trained, capsys):
    config, folder, before = trained
    end_early(folder)
    train(config)
    said = capsys.readouterr().err
    assert "warning" in said
    assert "checksum of" in said
    assert f"resuming from {folder.of_epoch(3)}" in said
    assert "3 of 4 epochs are done" in said
    after = states(config.output_dir)
    for name, value in before["model_state"].items():
        assert torch.equal(value, after["model_state"][name])


@pytest.mark.parametrize("how", ["missing", "dangling"])
def test_without_latest_the_newest_epoch_counts(trained, capsys, how):
    config, folder, _ = trained
    folder.latest.unlink()
    if how == "dangling":
        folder.latest.symlink_to("nowhere.pt")
    stamp = folder.of_epoch(4).stat().st_mtime_ns
    train(config)
    assert "4 of 4 epochs are done" in capsys.readouterr().err
    assert folder.of_epoch(4).stat().st_mtime_ns == stamp


def test_where_all_are_damaged_nothing_is_started_anew(trained):
    config, folder, _ = trained
    for path in {folder.latest, *folder.epoch_checkpoints()}:
        damage(path)
    with pytest.raises(CheckpointError, match="none of 5 checkpoints can be read.*AUTO_RESUME"):
        train(config)
    assert len(folder.epoch_checkpoints()) == 4


def test_best_is_found_again(trained, configured, capsys):
    config, folder, _ = trained
    best = read_checkpoint(folder.best)
    folder.best.unlink()
    train(config)
    assert "best.pt was missing" in capsys.readouterr().err
    found = read_checkpoint(folder.best)
    assert (found["epoch"], found["best"]) == (best["epoch"], best["best"])


def test_where_best_cannot_be_found_the_next_validation_is_it(trained, configured, capsys):
    config, folder, _ = trained
    for path in folder.epoch_checkpoints()[:-1]:
        path.unlink()
    folder.best.unlink()
    train(configured("out", "SOLVER.MAX_EPOCH", 5))
    assert "the next validation makes it" in capsys.readouterr().err
    assert read_checkpoint(folder.best)["epoch"] == 5


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_in_a_checkpoint_never_changes_weights_silently(trained, seed):
    config, folder, _ = trained
    right, content = read_checkpoint(folder.best), bytearray(folder.best.read_bytes())
    copy, rng = folder.best.with_name("flipped.pt"), np.random.default_rng(seed)
    refused = 0
    for _ in range(15):
        place, bit = int(rng.integers(len(content))), 1 << int(rng.integers(8))
        content[place] ^= bit
        copy.write_bytes(content)
        content[place] ^= bit
        try:
            found = read_checkpoint(copy)
        except CheckpointError:
            refused += 1
            continue
        for name, value in right["model_state"].items():
            assert torch.equal(value, found["model_state"][name])
    assert refused > 10


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(trained, configured):
    """A limit on the size of files stands for it: writing fails in the same place."""
    config, folder, before = trained
    size = folder.latest.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
        with pytest.raises(CheckpointError, match=r"cannot write .*epoch_0005\.pt: .* MB are free"):
            train(configured("out", "SOLVER.MAX_EPOCH", 6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(folder.path.rglob("*.partial"))
    assert len(folder.epoch_checkpoints()) == 4
    train(configured("out", "SOLVER.MAX_EPOCH", 6))
    train(configured("whole", "SOLVER.MAX_EPOCH", 6))
    assert_same_runs(configured("whole").output_dir, config.output_dir)


def test_weights_that_overflow_in_the_last_step_are_not_saved(configured, monkeypatch):
    config = configured("out", "SOLVER.MAX_EPOCH", 2, "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]")
    original = Learner.update
    steps = iter(range(100))

    def overflowing(learner):
        original(learner)
        if next(steps) == 5:
            with torch.no_grad():
                learner.model.fc.bias[0] = float("inf")

    monkeypatch.setattr(Learner, "update", overflowing)
    with pytest.raises(TrainingError, match=r"epoch 2, step 3: .* is not finite.*not.* saved"):
        train(config)
    monkeypatch.undo()
    folder = RunFolder(config.output_dir)
    assert read_checkpoint(folder.latest)["epoch"] == 1
    assert run_test(config)["num_samples"] == 7


def test_a_checkpoint_whose_weights_overflowed_cannot_be_tested(trained):
    config, folder, _ = trained
    content = read_checkpoint(folder.best)
    content["model_state"]["fc.weight"][:] = float("nan")
    path = folder.best.with_name("overflowed.pt")
    torch.save(content, path)
    tested = replace(config.test, checkpoint_file_path=str(path))
    with pytest.raises(TrainingError, match="scores of 7 of 7 clips are not finite"):
        run_test(replace(config, test=tested))


def test_another_number_of_processes_goes_on_and_says_so(configured, trained, capsys):
    config, folder, _ = trained
    content = read_checkpoint(folder.latest)
    folder.latest.unlink()
    torch.save({**content, "world_size": 2}, folder.latest)
    train(configured("out", "SOLVER.MAX_EPOCH", 5))
    assert "1 processes resume a run of 2" in capsys.readouterr().err
    assert read_checkpoint(folder.latest)["epoch"] == 5


def test_a_run_whose_lists_have_changed_says_what_changed(configured, colour_clips, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(colour_clips, root)
    words = ("DATA.CLIPS.ROOT", root, "SOLVER.MAX_EPOCH")
    train(configured("out", *words, 1))
    moved = root.rename(tmp_path / "moved")
    words = ("DATA.CLIPS.ROOT", moved, "SOLVER.MAX_EPOCH")
    train(configured("out", *words, 2))
    rows = (moved / "train.csv").read_text().splitlines()
    path, _, label = rows[1].rpartition(",")
    other = "red" if label == "blue" else "blue"
    (moved / "train.csv").write_text("\n".join([rows[0], f"{path},{other}", *rows[2:]]) + "\n")
    counts = Counter(row.rpartition(",")[2] for row in rows[1:])
    for epochs in (2, 3):
        with pytest.raises(DataError, match="train had 11 clips, has 11") as error:
            train(configured("out", *words, epochs))
        assert f"{label} {counts[label]} -> {counts[label] - 1}" in str(error.value)
    train(configured("out", *words, 3, "TRAIN.CHANGED_LISTS", "accept"))
    (moved / "train.csv").write_text("\n".join([rows[0], f"{path},{other}", *rows[:1:-1]]) + "\n")
    with pytest.raises(DataError, match="other paths, times or labels"):
        train(configured("out", *words, 3))
