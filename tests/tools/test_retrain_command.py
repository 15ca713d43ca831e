"""``cdb-video retrain`` as users type it, in processes of its own."""

import functools
import json

import pytest

from cdb_video import options
from cdb_video.commands import run
from cdb_video.engine.train.loop import train


@pytest.fixture
def retrain(tool, tiny_yaml):
    """(*words, launcher) -> finished process."""
    return functools.partial(tool, "retrain", "--cfg", tiny_yaml)


def test_the_command_leaves_a_tested_checkpoint_and_a_report(retrain, tiny_yaml, tmp_path, capsys):
    train(options.load(tiny_yaml, ["SOLVER.MAX_EPOCH", "1"]))
    result = retrain("METHOD", "ncm")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "out" / "ncm"
    assert str(folder / "report.html") in result.stdout
    assert "green" in (folder / "report.html").read_text()
    assert json.loads((folder / "test" / "metrics.json").read_text())["num_samples"] == 7
    assert run("retrain", ["--cfg", str(tiny_yaml), "--opts", "RETRAIN.METHOD", "tau_norm"]) == 0
    assert "tau_norm/report.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("METHOD", "cct"), "RETRAIN.METHOD: unknown way of retraining 'cct'; did you mean 'crt'?"),
        (("METHOD", "crt"), "train first"),
        (("METHOD",), "a KEY without VALUE"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tiny_yaml, tmp_path, capsys, words, part):
    assert run("retrain", ["--cfg", str(tiny_yaml), *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert part in lines[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("retrain", ("METHOD", "ncm")),
        ("compare", ("--losses", "cross_entropy", "--methods", "ncm")),
    ],
)
def test_several_processes_are_refused(tool, tiny_yaml, tmp_path, script, words):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    result = tool(script, "--cfg", tiny_yaml, *words, launcher=launcher)
    assert result.returncode != 0
    assert "without torchrun, got 2 processes" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_comparison_refuses_a_method_before_it_trains(tiny_yaml, tmp_path, capsys):
    losses = "cross_entropy,ldam:MODEL.HEAD=cosine"
    words = ["--cfg", str(tiny_yaml), "--losses", losses, "--methods", "crt,las"]
    assert run("compare", words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "must be crt, lmr, ncm for MODEL.HEAD cosine, got 'las'" in line
    assert not (tmp_path / "out").exists()
