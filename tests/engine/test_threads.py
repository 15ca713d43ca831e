import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cdb_video import options
from cdb_video.engine.train.loop import train
from cdb_video.models import read_checkpoint
from cdb_video.output.run_folder import RunFolder
from cdb_video.system import threads

ROOT = Path(__file__).parents[2]


@pytest.fixture
def torch_threads(monkeypatch):
    """What torch is told and tells, without threads that would wait for cores which other tests
    use: those take minutes then."""
    told = [1]
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: told[-1])


def test_the_machine_chooses_and_not_its_load(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "usable_cores", lambda: 16)
    assert threads.choose_threads() == 16
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads.choose_threads() == torch.get_num_threads()


def test_a_container_grants_less_than_the_machine_has(monkeypatch):
    class Granted:
        def read_text(self, encoding):
            return "150000 100000"

    monkeypatch.setattr(threads, "Path", lambda path: Granted())
    assert threads.usable_cores() == 1


def test_a_run_keeps_its_threads_and_an_option_overrides(
    configured, monkeypatch, capsys, tmp_path, torch_threads
):
    monkeypatch.setattr("cdb_video.engine.train.run.choose_threads", lambda: 2)
    words = ("SOLVER.MAX_EPOCH",)
    train(configured("out", *words, 1))
    assert "2 threads" in " ".join(capsys.readouterr().err.splitlines()[0].split())
    assert options.load(tmp_path / "out" / "config.yaml").num_threads == 2
    monkeypatch.setattr("cdb_video.engine.train.run.choose_threads", lambda: 1)
    config = configured("out", *words, 2)
    train(config)
    assert torch.get_num_threads() == 2
    assert read_checkpoint(RunFolder(config.output_dir).latest)["threads"] == 2
    train(configured("out", *words, 3, "NUM_THREADS", 3))
    assert torch.get_num_threads() == 3


@pytest.mark.slow
def test_a_machine_that_is_busy_runs_the_same_run(tiny_yaml, tmp_path):
    """In two processes of their own, one of them beside others that take the cores."""
    command = [sys.executable, ROOT / "tools" / "train_net.py", "--cfg", tiny_yaml]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    found = []
    for name, others in (("idle", 0), ("busy", threads.usable_cores())):
        spin = [sys.executable, "-c", "import os; os.nice(19)\nwhile True: pass"]
        load = [subprocess.Popen(spin) for _ in range(others)]
        try:
            words = ["SOLVER.MAX_EPOCH", "1", "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]"]
            words += ["OUTPUT_DIR", str(tmp_path / name)]
            subprocess.run([*command, *words], env=environment, check=True, capture_output=True)
        finally:
            for process in load:
                process.kill()
                process.wait()
        found.append(read_checkpoint(RunFolder(tmp_path / name).latest))
    assert found[0]["threads"] == found[1]["threads"] == threads.usable_cores()
    for name, tensor in found[0]["model_state"].items():
        assert torch.equal(tensor, found[1]["model_state"][name]), name
