"""What a run shows as it goes: TensorBoard's files, the others' clients, speed, the live report."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_steps import assert_same_runs

from cdb_video.commands.with_config import LiveReport
from cdb_video.engine.record import pictures
from cdb_video.engine.record.boards import BOARDS, TensorBoard
from cdb_video.engine.record.clock import Clock
from cdb_video.engine.train.loop import train
from cdb_video.errors import ConfigError
from cdb_video.output.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


def picture_of(event):
    return cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)


def test_tensorboard_has_classes_clips_confusion_and_the_options(configured):
    config = configured("out", "SOLVER.MAX_EPOCH", 2)
    train(config)
    board = EventAccumulator(f"{config.output_dir}/tensorboard").Reload()
    tags = board.Tags()
    rows = RunFolder(config.output_dir).difficulties()
    for kind in ("recall", "weight"):
        for c, name in enumerate(("blue", "green", "red")):
            shown = [event.value for event in board.Scalars(f"{kind}/{name}")]
            wanted = [getattr(row, kind) for row in rows if row.class_id == c]
            assert shown == pytest.approx(wanted)
    assert {"speed/clips_per_second", "speed/waiting", "speed/memory_mb"} <= set(tags["scalars"])
    clips = board.Images("training clips")
    assert [event.step for event in clips] == [0]
    # Four clips down, the three frames of each across, in the colours of the classes.
    grid = picture_of(clips[0])
    assert grid.shape == (4 * 112, 3 * 112, 3)
    tiles = grid.reshape(4, 112, 3, 112, 3).mean(axis=(1, 3))
    assert (tiles.max(axis=2) - tiles.min(axis=2) > 60).all()
    assert [event.step for event in board.Images("confusion")] == [3, 6]
    # What hparams need is there: the options, and what came of them.
    assert "_hparams_/session_start_info" in board.summary_metadata
    assert board.Scalars("best/mean_class_recall")


def test_pictures_are_what_they_say():
    target = torch.tensor([0, 0, 0, 0, 2])
    predicted = torch.tensor([0, 0, 0, 1, -1])
    many = pictures.confusion(target * 4000, predicted * 4000, 12_000)
    assert many.shape == (pictures.MAX_SIDE, pictures.MAX_SIDE, 3)
    picture = pictures.confusion(target, predicted, 3)
    assert picture.shape == (24, 24, 3)
    assert picture[::8, ::8, 0].tolist() == [[191, 64, 0], [0, 0, 0], [0, 0, 0]]
    assert pictures.enlarged(np.zeros((1000, 1000))).shape == (1000, 1000, 3)
    video = torch.arange(9, dtype=torch.uint8).view(1, 1, 9, 1, 1).expand(2, 3, 9, 20, 30)
    grid = pictures.clip_grid(video)
    assert grid.shape == (2 * 112, 6 * 168, 3)
    assert grid[0, ::168, 0].tolist() == [0, 2, 3, 5, 6, 8]


def test_the_clock_tells_waiting_from_work(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr("cdb_video.engine.record.clock.time.monotonic", lambda: float(next(now)))
    clock = Clock(torch.device("cpu"))  # starts at 0

    class Four:
        label = torch.zeros(4)

    batches = list(clock.waiting(iter([Four(), Four(), Four()])))
    assert len(batches) == 3
    numbers = clock.numbers()  # 4 waits of 1 s each, asked at 9
    assert numbers["seconds"] == 9
    assert numbers["clips_per_second"] == pytest.approx(12 / 9, abs=1e-3)
    assert numbers["waiting"] == pytest.approx(4 / 9, abs=1e-4)
    assert 10 < numbers["memory_mb"] < 1e5
    with clock.part("backward"):  # from 10 to 11
        pass
    numbers = clock.numbers()  # at 12
    assert numbers["backward"] == pytest.approx(1 / 12, abs=1e-4)
    assert numbers["forward"] == numbers["optimiser"] == 0
    assert "clips/s, waits 31 %, " in clock.line(80)  # 4 of 13
    assert "waits 29 %, forward 0 %, backward 7 %, optimiser 0 %, " in clock.line(140)  # of 14


def test_facts_stay_apart_from_what_is_the_same_each_time(configured):
    config = configured("out", "SOLVER.MAX_EPOCH", 2)
    train(config)
    folder = RunFolder(config.output_dir)
    first, *epochs = folder.facts()
    assert first["device"] == "CPU"
    assert first["torch"] == torch.__version__
    assert [fact["epoch"] for fact in epochs] == [1, 2]
    shares = [
        [fact[part] for part in ("waiting", "forward", "backward", "optimiser")] for fact in epochs
    ]
    assert all(0 < share < 1 for some in shares for share in some)
    assert all(sum(some) <= 1 for some in shares)
    assert "seconds" not in folder.log.read_text()


def test_the_report_is_there_while_the_run_trains(configured):
    config = configured("out", "SOLVER.MAX_EPOCH", 3)
    pages = []
    live = LiveReport(Path(config.output_dir))

    def after_epoch():
        live.update()
        pages.append(RunFolder(config.output_dir).report.read_text())

    train(config, after_epoch=after_epoch)
    assert len(pages) == 3
    assert "has not been tested yet" in pages[0]
    assert "clips a second" in pages[0]
    # The first took longer than a fiftieth of the next epoch: it is not written again at once.
    assert pages[0] == pages[1]


def test_a_report_that_cannot_be_written_ends_no_run(configured, capsys):
    config = configured("out", "SOLVER.MAX_EPOCH", 2)
    live = LiveReport(Path(config.output_dir))

    def after_epoch():
        RunFolder(config.output_dir).report.mkdir(exist_ok=True)
        live.update()

    train(config, after_epoch=after_epoch)
    assert "warning: the report could not be updated" in capsys.readouterr().err
    assert RunFolder(config.output_dir).epoch_checkpoints()[-1].name == "epoch_0002.pt"


@pytest.mark.parametrize("word", ["scalars", "image", "close"])
def test_a_board_that_fails_ends_no_run(word, configured, monkeypatch, capsys):
    class Away(TensorBoard):
        pass

    def fails(board, *given):
        raise ConnectionError("the server is away")

    train(configured("alone", "LOGGER", "[]", "SOLVER.MAX_EPOCH", 2))
    monkeypatch.setattr(Away, word, fails)
    monkeypatch.setitem(BOARDS, "tensorboard", Away)
    train(configured("out", "SOLVER.MAX_EPOCH", 2))
    told = capsys.readouterr().err
    assert (
        told.count("warning: Away failed, and the run continues without it: the server is away")
        == 1
    )
    assert_same_runs(configured("alone").output_dir, configured("out").output_dir)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_other_boards_through_their_own_clients(name, tiny_yaml, tmp_path):
    pytest.importorskip(name)
    code = (
        "import sys, cdb_video\n"
        "cdb_video.train(cdb_video.Config.load(sys.argv[1], "
        f"{{'LOGGER': ['{name}'], 'SOLVER.MAX_EPOCH': 2}}))"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "WANDB_MODE": "offline",
        "MLFLOW_TRACKING_URI": f"file:{tmp_path / 'mlruns'}",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_yaml)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "tensorboard").exists()
    if name == "wandb":
        [file] = (tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb")
        assert b"val/mean_class_recall" in file.read_bytes()
    else:
        found = {path.name for path in (tmp_path / "mlruns").rglob("*") if path.is_file()}
        assert {"mean_class_recall", "SOLVER.MAX_EPOCH"} <= found
        assert any(n.startswith("confusion_") for n in found)


def test_a_client_that_is_missing_is_one_line_before_anything_is_made(configured, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = configured("out", "LOGGER", "[wandb]")
    with pytest.raises(ConfigError, match="LOGGER wandb needs pip install wandb"):
        train(config)
    assert not Path(config.output_dir).exists()
    assert json.dumps(config.logger) == '["wandb"]'


def test_no_board_is_a_choice(configured):
    config = configured("out", "LOGGER", "[]", "SOLVER.MAX_EPOCH", 1)
    train(config)
    assert not (Path(config.output_dir) / "tensorboard").exists()
