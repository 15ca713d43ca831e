"""At length: kills, damaged files, full disks, deaths of processes. Each prints what it counted."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from test_damage import mutated
from test_decode import FILES
from videos import write_video

from cdb_video import options
from cdb_video.data.decode import DecodeError, VideoReader
from cdb_video.engine.train.loop import train
from cdb_video.errors import CheckpointError
from cdb_video.models.weights.files import read_checkpoint
from cdb_video.output.run_folder import RunFolder

pytestmark = pytest.mark.faults
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KILLS, MUTATIONS = 300, 10_000


def told(capsys, **numbers):
    with capsys.disabled():
        print("\n" + json.dumps(numbers))


def program(path, *words):
    done = subprocess.run(
        [sys.executable, path, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=3000,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def saving_yaml(tiny_yaml):
    """A run that also saves after each step, and keeps few checkpoints."""
    text = tiny_yaml.read_text()
    text = text.replace("TRAIN: {", "TRAIN: {CHECKPOINT_MINUTES: 1.0e-6, KEEP_CHECKPOINTS: 2, ")
    tiny_yaml.write_text(text)
    return tiny_yaml


def test_kills_at_random_moments(saving_yaml, tmp_path, capsys):
    found = program(HERE / "random_kills.py", saving_yaml, tmp_path / "runs", KILLS, 0)
    told(capsys, **found)
    assert found["kills"] >= KILLS
    assert found["wrong"] == []


def test_kills_before_every_change_to_a_file(tiny_yaml, tmp_path, capsys):
    text = tiny_yaml.read_text().replace("MAX_EPOCH: 4", "MAX_EPOCH: 2")
    text = text.replace("STEPS: [0, 3]", "STEPS: [0, 1]")
    tiny_yaml.write_text(text.replace("TRAIN: {", "TRAIN: {KEEP_CHECKPOINTS: 1, "))
    kill_points = ROOT / "tests" / "engine" / "kill_points.py"
    found = program(kill_points, tiny_yaml, tmp_path / "runs", 1)
    told(capsys, **found)
    assert found["tried"] == found["points"]
    assert found["wrong"] == []


def test_damaged_files(tmp_path, capsys):
    kinds = {**FILES, "gif": (".gif", {"codec": "gif", "pixel_format": "rgb8"})}
    kinds["flv"] = (".flv", {"codec": "flv1"})
    originals = []
    for name, (suffix, how) in kinds.items():
        path = tmp_path / f"{name.replace(' ', '_')}{suffix}"
        originals.append((write_video(path, 40, **{**how, "size": (96, 128)}), name))
    rng, outcomes, slowest, silent = random.Random(0), Counter(), 0.0, Counter()
    frames, lines = {}, []
    for path, name in originals:
        with VideoReader(path) as reader:
            frames[name] = reader.frames(range(reader.num_frames)).tobytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MUTATIONS):
        path, name = originals[number % len(originals)]
        target = tmp_path / f"mutant{path.suffix}"
        target.write_bytes(mutated(path.read_bytes(), rng))
        begun = time.monotonic()
        try:
            with VideoReader(target) as reader:
                same = reader.frames(range(reader.num_frames)).tobytes() == frames[name]
            outcomes["same frames" if same else "other frames"] += 1
            silent[name] += not same
        except DecodeError as error:
            outcomes["one line"] += 1
            lines.append(str(error))
        slowest = max(slowest, time.monotonic() - begun)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    told(
        capsys,
        files=MUTATIONS,
        outcomes=outcomes,
        slowest_s=round(slowest, 2),
        peak_growth_mb=round(grown),
        other_frames=silent,
    )
    assert sum(outcomes.values()) == MUTATIONS
    assert all("mutant" in line and "\n" not in line for line in lines)
    assert slowest < 10
    assert grown < 500


def test_no_room_at_every_size(tiny_yaml, capsys):
    """At 64 limits between nothing and a whole checkpoint: one line, and what was saved stays."""
    config = options.load(tiny_yaml)
    train(config)
    longer, folder = (
        options.load(tiny_yaml, ["SOLVER.MAX_EPOCH", "5"]),
        RunFolder(config.output_dir),
    )
    size = folder.latest.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    refused = 0
    # The log is written before the first checkpoint, and larger than the smallest limits.
    for limit in range(20_000, size, (size - 20_000) // 64):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            train(longer)
        except CheckpointError:
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert read_checkpoint(folder.latest)["epoch"] == 4
        assert not list(folder.path.rglob("*.partial"))
    signal.signal(signal.SIGXFSZ, ignored)
    told(capsys, limits=refused)
    assert refused >= 64


def stopped_by(number, rank, lines, folder, launcher, *words):
    """A finished torchrun, one of whose runs was stopped once, after some lines of its log."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *launcher]
    command += [ROOT / "tools" / "train_net.py", *words, "IMPORTS", "[stopper]"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "tests"),
        "STOP_FILE": str(folder / "out" / "log.jsonl"),
        "STOP_LINES": str(lines),
        "STOP_BY": str(int(number)),
        "STOP_RANK": str(rank),
        "STOP_STAMP": str(folder / "stamp"),
    }
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_process_that_dies_ends_the_others(tiny_yaml, tmp_path, processes, number, capsys):
    words = ["--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 3000, "TRAIN.BATCH_SIZE", 6]
    words += ["TRAIN.CHECKPOINT_PERIOD", 3000, "TRAIN.EVAL_PERIOD", 3000]
    launcher = ["--nproc_per_node", processes]
    done = stopped_by(number, processes - 1, 6, tmp_path, launcher, *words)
    took = time.time() - float((tmp_path / "stamp").read_text())
    told(capsys, processes=processes, signal=number.name, seconds=round(took, 1))
    assert done.returncode != 0
    assert took < 30
    assert f"rank      : {processes - 1}" in done.stderr.split("Root Cause")[1]


def test_torchrun_starts_a_run_again_that_goes_on(tiny_yaml, tmp_path):
    launcher = ["--nproc_per_node", 2, "--max-restarts", 1]
    words = ["--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 8]
    done = stopped_by(signal.SIGKILL, 1, 12, tmp_path, launcher, *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "stamp").exists()
    assert "of 8 epochs" in done.stderr
    assert read_checkpoint(RunFolder(tmp_path / "out").latest)["epoch"] == 8
