"""Runs that are asked to stop, at any moment and by any signal, save themselves and go on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_steps import assert_same_runs

from cdb_video.commands import run as run_command
from cdb_video.engine.train import saving
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.loop import train
from cdb_video.errors import Stopped
from cdb_video.models import Checkpoint
from cdb_video.output.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
WORDS = ("MODEL.DROPOUT_RATE", 0.3, "TRAIN.EMA_DECAY", 0.9, "BN.USE_PRECISE_STATS", True)
WORDS += ("LOSS.CDB_CE.SOURCE", "train", "LOSS.CDB_CE.MOMENTUM", 0.5, "TRAIN.BATCH_SIZE", 4)
MOMENTS = {
    "first step": (Learner, "gradient", 1),
    "within an epoch": (Learner, "gradient", 5),
    "last step of an epoch": (Learner, "gradient", 6),
    "validation": (None, "", 0),
    "saving": (saving, "point", 3),
}


def ask(monkeypatch, moment, number):
    """Lets this process be asked to stop at a moment of a run."""
    module, name, call = MOMENTS[moment]
    if moment == "validation":  # while its second batch is made
        validation = sys.modules["cdb_video.engine.train.validate"]
        original = validation.evaluate

        def evaluate(*words, on_batch, **named):
            calls = []

            def asking(batch):
                calls.append(batch)
                if len(calls) == 1:
                    os.kill(os.getpid(), number)
                on_batch(batch)

            return original(*words, on_batch=asking, **named)

        monkeypatch.setattr(validation, "evaluate", evaluate)
        return
    original, calls = getattr(module, name), []

    def asking(*words):
        calls.append(words)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(*words)

    monkeypatch.setattr(module, name, asking)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_asked_to_stop_goes_on_to_the_same_bits(
    configured, monkeypatch, whole, moment, number
):
    if not whole.exists():
        train(configured(whole, *WORDS))
    cut = configured("cut", *WORDS)
    before = signal.getsignal(number)
    ask(monkeypatch, moment, number)
    with pytest.raises(Stopped, match=rf"stopped by {number.name} after .*goes on there"):
        train(cut)
    monkeypatch.undo()
    assert signal.getsignal(number) is before
    saved = Checkpoint.read(RunFolder(cut.output_dir).latest, training=True).training
    expected = {
        "first step": (0, 1),
        "within an epoch": (1, 2),
        "validation": (0, 3),
        "last step of an epoch": (1, 3),
        "saving": (2, 1),  # it is looked for with the next step
    }
    assert (saved["epoch"], saved["step"]) == expected[moment]
    train(cut)
    assert_same_runs(whole, cut.output_dir)


def test_a_request_in_the_last_epoch_finishes_the_run(configured, monkeypatch):
    config = configured("out", "SOLVER.MAX_EPOCH", 2)
    ask(monkeypatch, "saving", signal.SIGTERM)
    train(config)
    assert Checkpoint.read(RunFolder(config.output_dir).latest).epoch == 2


def test_a_second_ctrl_c_ends_at_once(configured, monkeypatch):
    original = Learner.gradient

    def impatient(*words):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        return original(*words)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(Learner, "gradient", impatient)
        with pytest.raises(KeyboardInterrupt):
            train(configured("out"))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT"])
def test_the_exit_code_names_the_signal(tiny_yaml, monkeypatch, capsys, name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        ask(monkeypatch, "first step", number)
        code = run_command("train", ["--cfg", str(tiny_yaml)])
    finally:
        signal.signal(number, before)
    assert code == 128 + number
    assert f"stopped by {name} after epoch 1, step 1" in capsys.readouterr().err


def test_what_is_to_be_ignored_is_ignored(configured, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        ask(monkeypatch, "first step", signal.SIGHUP)
        train(configured("out", "SOLVER.MAX_EPOCH", 1))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert RunFolder(configured("out").output_dir).of_epoch(1).exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_torchrun_hands_the_request_on_to_all_processes(tiny_yaml, tmp_path, workers):
    """As a scheduler does: SIGTERM to the launcher, which has no handler of ours."""
    folder = tmp_path / "cut"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", ROOT / "tools" / "train_net.py", "--cfg", tiny_yaml]
    command += ["SOLVER.MAX_EPOCH", "2000", "DATA_LOADER.NUM_WORKERS", workers]
    command += ["TRAIN.CHECKPOINT_PERIOD", "2000", "TRAIN.EVAL_PERIOD", "2000"]
    command += ["OUTPUT_DIR", folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "said", "w") as said:
        launcher = subprocess.Popen(
            list(map(str, command)), cwd=tmp_path, env=environment, stderr=said
        )
        log = RunFolder(folder).log
        while launcher.poll() is None and not (log.exists() and log.stat().st_size > 500):
            pass
        launcher.send_signal(signal.SIGTERM)
        launcher.wait(timeout=120)
    text = (tmp_path / "said").read_text()
    assert "stopped by SIGTERM after epoch" in text, text
    saved = Checkpoint.read(RunFolder(folder).latest, training=True).training
    assert len(saved["processes"]) == 2 or saved["step"] == 0
    assert not list(folder.rglob("*.partial"))
