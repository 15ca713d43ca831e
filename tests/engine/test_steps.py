"""The loop by steps: what one step reads from the device, and runs that stop within an epoch."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.overrides import TorchFunctionMode

from cdb_video.engine.train.learner import Learner, seed_step
from cdb_video.engine.train.loop import fit, train
from cdb_video.engine.train.plan import Step
from cdb_video.engine.train.run import prepare
from cdb_video.errors import ConfigError, TrainingError
from cdb_video.models import Checkpoint, read_checkpoint
from cdb_video.output.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
STATES = ("model_state", "average_state", "optimizer_state", "loss_state", "sampler_state")
READS = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy"}


class HostReads(TorchFunctionMode):
    """Counts what makes the host wait for the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.count += getattr(function, "__name__", "") in READS
        return function(*args, **(kwargs or {}))


def reads_of_each_step(run, monkeypatch):
    """Host reads between the beginnings of neighbouring steps of the first epoch."""
    original, marks = Learner.gradient, []
    with HostReads() as reads:

        def marked(*words):
            marks.append(reads.count)
            original(*words)

        monkeypatch.setattr(Learner, "gradient", marked)
        fit(run)
    return [after - before for before, after in zip(marks, marks[1:], strict=False)]


def looking(run, period):
    """``run`` with a read of the device every so many steps."""
    return run._replace(plan=replace(run.plan, look_period=period))


SMALL_STEPS = ("TRAIN.BATCH_SIZE", 2, "SOLVER.MAX_EPOCH", 1, "SOLVER.STEPS", "[0]")
SMALL_STEPS += ("SOLVER.LRS", "[1]")


def test_a_step_reads_once_from_the_device(configured, monkeypatch):
    accumulated = ("SOLVER.ACCUMULATION_STEPS", 2, "SOLVER.CLIP_GRAD_L2NORM", 1)
    run = prepare(configured("out", *SMALL_STEPS, "TRAIN.BATCH_SIZE", 4, *accumulated), CPU)
    assert reads_of_each_step(run, monkeypatch) == [1] * 2


def test_on_a_gpu_nothing_is_read_between_log_periods(configured, monkeypatch):
    """With the period of looks that a GPU has; six steps, a line of the log after the third."""
    run = looking(prepare(configured("out", *SMALL_STEPS, "LOG_PERIOD", 3), CPU), 3)
    assert reads_of_each_step(run, monkeypatch)[:4] == [0, 0, 1, 0]


@pytest.mark.parametrize("period", [1, 3])
def test_the_clips_of_a_loss_that_is_not_finite_are_named(configured, monkeypatch, period):
    """Also when the device is looked at some steps later."""
    run = looking(prepare(configured("out", *SMALL_STEPS), CPU), period)
    (loss,), calls = run.learner.losses, []

    class Breaks(type(loss)):
        def compute(self, logits, target, weights):
            calls.append(len(calls))
            loss = super().compute(logits, target, weights)
            return loss * float("nan") if len(calls) == 2 else loss

    loss.__class__ = Breaks
    second = next(run.plan.train_loader.batches(1, first=1))
    with pytest.raises(TrainingError, match=r"epoch 1, step 2: the loss is nan; clips: ") as error:
        fit(run)
    for index in second.index.tolist():
        assert run.plan.task.splits["train"].records[index].path in str(error.value)
    assert len(calls) == max(2, period)
    assert not RunFolder(configured().output_dir).latest.exists()


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_the_middle_are_those_of_the_whole_epoch(configured, images, workers):
    words = ("DATA_LOADER.NUM_WORKERS", workers, "TRAIN.BATCH_SIZE", 2, "AUG.COLOR_JITTER", 0.3)
    if images:
        words += ("IMPORTS", "[in_memory]", "DATA.NAME", "in_memory")
    run = prepare(configured("out", *words, "SAMPLER.NAME", "class_balanced"), CPU)
    for epoch in (1, 2):
        whole = list(run.plan.train_loader.batches(epoch))
        for first in (0, 2, len(whole) - 1, len(whole)):
            rest = list(run.plan.train_loader.batches(epoch, first=first))
            assert len(rest) == len(whole) - first
            for one, other in zip(rest, whole[first:], strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


def test_what_comes_before_is_not_decoded(configured, colour_clips, tmp_path):
    run = prepare(configured("out"), CPU)
    first = next(run.plan.train_loader.batches(1))
    for index in first.index.tolist():
        path = Path(run.plan.task.splits["train"].records[index].path)
        path.rename(path.with_suffix(".away"))
    try:
        assert len(list(run.plan.train_loader.batches(1, first=1))) == 2
    finally:
        for path in colour_clips.glob("*.away"):
            path.rename(path.with_suffix(".mp4"))


def test_windows_begin_where_progress_left_off(configured):
    run = prepare(configured("out", "TRAIN.BATCH_SIZE", 4, "SOLVER.ACCUMULATION_STEPS", 2), CPU)

    def windows(progress):
        steps = run.plan.steps(progress, run.recorder.batches(run.plan, progress))
        return [(step, [len(batch.label) for batch in window]) for step, window in steps]

    assert [sizes for _, sizes in windows(run.progress)] == [[2, 2], [2, 2], [3]]
    assert windows(run.progress._replace(step=2)) == [(Step(1, 2, 2, True), [3])]
    assert [step.total for step, _ in windows(run.progress._replace(epoch=2))] == [6, 7, 8]


def test_every_step_of_every_epoch_draws_other_numbers():
    drawn = set()
    for seed, epoch, step in ((0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)):
        seed_step(seed, epoch, step)
        drawn.add(torch.rand(()).item())
    seed_step(0, 1, 0)
    assert torch.rand(()).item() in drawn
    assert len(drawn) == 4


def states(folder):
    content = read_checkpoint(Path(folder) / "checkpoints" / "latest.pt")
    return {name: content[name] for name in (*STATES, "epoch", "step", "best")}


def assert_equal(one, other):
    """Bit equality of nested dicts and lists of tensors and plain values."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def assert_same_runs(whole, cut):
    assert_equal(states(whole), states(cut))
    for name in ("log.jsonl", "difficulty.csv"):
        assert (Path(whole) / name).read_text() == (Path(cut) / name).read_text(), name


WITHIN = ("TRAIN.CHECKPOINT_MINUTES", 1e-6, "MODEL.DROPOUT_RATE", 0.3, "TRAIN.EMA_DECAY", 0.9)
WITHIN += ("TRAIN.BATCH_SIZE", 2, "LOSS.CDB_CE.SOURCE", "train", "LOSS.CDB_CE.MOMENTUM", 0.5)


@pytest.mark.parametrize("step", [1, 4])
def test_a_run_that_stops_within_an_epoch_ends_bit_equal(configured, monkeypatch, step):
    whole, cut = configured("whole", *WITHIN[2:]), configured("cut", *WITHIN)
    train(whole)
    original = Learner.gradient

    def interrupted(learner, window, at):
        if (at.epoch, at.number) == (3, step):
            raise KeyboardInterrupt
        original(learner, window, at)

    monkeypatch.setattr(Learner, "gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    monkeypatch.undo()
    latest = Checkpoint.read(RunFolder(cut.output_dir).latest, training=True)
    assert (latest.training["epoch"], latest.training["step"]) == (2, step)
    train(cut)
    assert_same_runs(whole.output_dir, cut.output_dir)
    train(cut)  # a finished run is left as it is
    assert_same_runs(whole.output_dir, cut.output_dir)


def test_without_minutes_nothing_is_saved_within_an_epoch(configured, monkeypatch):
    module, saved = sys.modules["cdb_video.engine.train.saving"], []
    monkeypatch.setattr(module.Checkpoints, "save_within", lambda *words: saved.append(words))
    train(configured("out", "SOLVER.MAX_EPOCH", 1))
    train(configured("rare", "SOLVER.MAX_EPOCH", 1, "TRAIN.CHECKPOINT_MINUTES", 60))
    assert saved == []


# Epochs are not saved before the last: whatever is in latest.pt was saved within one.
LONG = (*WITHIN, "TRAIN.BATCH_SIZE", 4, "SOLVER.MAX_EPOCH", 12, "TRAIN.CHECKPOINT_PERIOD", 12)
LONG += ("TRAIN.EVAL_PERIOD", 12)


def run_tool(config_file, folder, processes, workers, *more, **environment):
    """A finished process, or torchrun with several, that trained into ``folder``."""
    words = (*LONG, "DATA_LOADER.NUM_WORKERS", workers, "OUTPUT_DIR", folder, *more)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", processes]
    command = [*(launcher if processes > 1 else ()), ROOT / "tools" / "train_net.py"]
    return subprocess.run(
        [sys.executable, *map(str, [*command, "--cfg", config_file, *words])],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory):
    """Number of processes -> where the first test that needs its uncut run leaves it."""
    return {processes: tmp_path_factory.mktemp("whole") / "run" for processes in (1, 2)}


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("processes", "workers"),
    [(1, 0)] + [pytest.param(*pair, marks=slow) for pair in ((2, 0), (1, 2), (2, 2))],
)
def test_kill_9_within_an_epoch_changes_nothing(
    tiny_yaml, tmp_path, whole_runs, processes, workers
):
    def finished(folder):
        done = run_tool(tiny_yaml, folder, processes, workers)
        assert done.returncode == 0, done.stderr
        return done.stderr

    if not whole_runs[processes].exists():
        finished(whole_runs[processes])
    cut = tmp_path / "cut"
    stop = {"STOP_FILE": cut / "log.jsonl", "STOP_LINES": 6, "STOP_BY": int(signal.SIGKILL)}
    stop["PYTHONPATH"] = Path(__file__).parents[1]
    environment = {name: str(value) for name, value in stop.items()}
    stopped = run_tool(tiny_yaml, cut, processes, workers, "IMPORTS", "[stopper]", **environment)
    assert stopped.returncode != 0
    saved = Checkpoint.read(RunFolder(cut).latest, training=True).training
    assert 0 < saved["step"] < 3
    assert len(saved["processes"]) == processes
    done = f"{saved['epoch']} of 12 epochs and {saved['step']} steps are done"
    assert done in finished(cut)
    assert_same_runs(whole_runs[processes], cut)


def test_a_second_run_in_the_same_folder_is_refused(configured):
    config = configured()
    with RunFolder(config.output_dir).locked("train"):
        holder = rf"is in use by pid {os.getpid()} on "
        with pytest.raises(ConfigError, match=holder):
            train(config)
    train(config)
    records = RunFolder(config.output_dir).records()[0]
    assert [r["epoch"] for r in records if r["kind"] == "val"] == [1, 2, 3, 4]
    assert not [name for name in os.listdir(config.output_dir) if name.endswith(".lock")]


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import sys, time; from cdb_video.output.run_folder import RunFolder\n"
        f"with RunFolder({str(tmp_path / 'out')!r}).locked('train'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    folder = RunFolder(tmp_path / "out")
    with pytest.raises(ConfigError, match=f"by pid {process.pid} on "), folder.locked("train"):
        pass
    process.kill()
    process.wait()
    with folder.locked("train"):
        assert json.loads((tmp_path / "out" / ".train.lock").read_text())["pid"] == os.getpid()
