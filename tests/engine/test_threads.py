import pytest
import torch

from cdb_video.engine.train.loop import train
from cdb_video.models import read_checkpoint
from cdb_video.output.run_folder import RunFolder
from cdb_video.system import threads


@pytest.fixture
def torch_threads(monkeypatch):
    """What torch is told and tells, without threads that would wait for cores which other tests
    use: those take minutes then."""
    told = [1]
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: told[-1])


@pytest.mark.parametrize(
    ("idle", "workers", "chosen"),
    [(8.0, 2, 6), (8.0, 9, 1), (0.2, 1, 1), (3.6, 0, 4), (64.0, 4, 12)],
)
def test_idle_cores_that_do_not_decode_compute(monkeypatch, idle, workers, chosen):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "usable_cores", lambda: 16)
    monkeypatch.setattr(threads, "idle_cores", lambda: idle)
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 16)
    assert threads.choose_threads(workers) == chosen


def test_a_container_grants_less_than_the_machine_has(monkeypatch):
    class Granted:
        def read_text(self, encoding):
            return "150000 100000"

    monkeypatch.setattr(threads, "Path", lambda path: Granted())
    assert threads.usable_cores() == 1


def test_cores_that_others_use_are_not_idle(monkeypatch):
    seconds = iter([100.0, 100.3])
    monkeypatch.setattr(threads, "_idle_seconds", lambda: next(seconds))
    monkeypatch.setattr(threads, "PAUSE_S", 0.1)
    # In 0.1 s three cores idled for 0.1 s each; less where the machine is slow to wake.
    assert 0 < threads.idle_cores() <= 3.0
    monkeypatch.setattr(threads, "_idle_seconds", lambda: None)
    assert threads.idle_cores() == len(threads._allowed())


def test_a_run_keeps_its_threads_and_an_option_overrides(
    configured, monkeypatch, capsys, torch_threads
):
    monkeypatch.setattr("cdb_video.engine.train.run.choose_threads", lambda workers: 2)
    words = ("SOLVER.MAX_EPOCH",)
    train(configured("out", *words, 1))
    assert "2 threads" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr("cdb_video.engine.train.run.choose_threads", lambda workers: 1)
    config = configured("out", *words, 2)
    train(config)
    assert torch.get_num_threads() == 2
    assert read_checkpoint(RunFolder(config.output_dir).latest)["threads"] == 2
    train(configured("out", *words, 3, "NUM_THREADS", 3))
    assert torch.get_num_threads() == 3
