"""The commands as users type them, in processes of their own."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cdb_video import options
from cdb_video.commands import WORDS, main
from cdb_video.commands.with_config import TRUST, make_parser, parse
from cdb_video.engine.train.loop import train
from cdb_video.errors import ConfigError
from cdb_video.models import read_checkpoint
from cdb_video.output.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


def assert_one_line(result, *parts):
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    for part in parts:
        assert part in lines[0]
    assert result.stdout == ""


def test_train_then_test_then_the_report(tool, tiny_yaml, tmp_path):
    trained = tool("train_net.py", "--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 2)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2: validation" in trained.stderr
    tested = tool("test_net.py", "--cfg", tiny_yaml, "--opts", "TEST.NUM_SPATIAL_CROPS", "3")
    assert tested.returncode == 0, tested.stderr
    metrics = json.loads((tmp_path / "out" / "test" / "metrics.json").read_text())
    assert metrics["views"] == {"temporal": 1, "spatial": 3, "average": "probabilities"}
    assert metrics["checkpoint"].endswith("best.pt")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "green" in page
    assert str(tmp_path / "out" / "report.html") in tested.stdout


def test_mistakes_are_one_line_and_exit_code_2(tool, tiny_yaml, tmp_path, capsys):
    def command(*words):
        code = main(list(map(str, words)))
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    cfg = ("--cfg", tiny_yaml)
    misspelt = (*cfg, "SOLVER.BASE_LRR", 1)
    assert_one_line(tool("train_net.py", *misspelt), "did you mean SOLVER.BASE_LR?")
    assert_one_line(command("train", *misspelt), "did you mean SOLVER.BASE_LR?")
    assert_one_line(command("train", *cfg, "DATA.CLIPS.ROOT", "/nowhere"), "/nowhere")
    assert_one_line(command("test", *cfg), "train first")
    assert_one_line(command("train", "--cfg", "none.yaml"), "none.yaml")
    assert not (tmp_path / "out").exists()


def test_help_prints_every_option_with_its_documentation(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "LOSS.CDB_CE.TAU  [a number >= 0, 'dynamic' or 'dynamic_released'" in text
    assert "Exponent on difficulty" in text


HEAVY = ("sklearn", "scipy", "matplotlib", "transformers", "tensorboard", "pooch", "jinja2")
HEAVY += ("torch.distributed.fsdp", "torch.distributed.tensor", "fvcore.nn")
IMPORTED = f"""
import contextlib, io, sys
from cdb_video.commands import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main([WORD, "--help"])
after_help = set({HEAVY}) & set(sys.modules)
import cdb_video.engine.train.loop
print(sorted(after_help), sorted(set({HEAVY}) & set(sys.modules)))
"""


def test_what_few_need_is_imported_by_those_alone():
    code = IMPORTED.replace("WORD", repr("train"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


@pytest.mark.skipif(sys.platform != "linux", reason="torch has another OpenMP runtime there")
@pytest.mark.parametrize(
    ("given", "spins"), [({}, "3000"), ({"OMP_WAIT_POLICY": "active"}, "30000000000")]
)
def test_threads_that_wait_leave_their_core_to_others(given, spins, tool, monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    for name, value in {"OMP_DISPLAY_ENV": "VERBOSE", **given}.items():
        monkeypatch.setenv(name, value)
    assert f"GOMP_SPINCOUNT = '{spins}'" in tool("train_net.py", "--cfg", "none.yaml").stderr


@pytest.mark.parametrize("words", [[word] for word in WORDS] + [[]], ids=str)
def test_every_word_explains_itself(words, capsys):
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith(f"usage: {' '.join(['cdb-video', *words])} ")
    assert words or all(word in text for word in WORDS)


@pytest.mark.slow
def test_the_installed_command_does_the_same(tiny_yaml, tmp_path):
    command = [Path(sys.executable).parent / "cdb-video", "train", "--cfg", tiny_yaml]
    result = subprocess.run(
        [*command, "SOLVER.MAX_EPOCH", "1"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "checkpoints" / "best.pt").exists()


@pytest.mark.slow
def test_two_processes_agree_with_one(tool, tiny_yaml, tmp_path):
    """Under torchrun: the same validation counts, whole metrics, one writer, equal loss weights."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = ("--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 2)
    result = tool("train_net.py", *words, "OUTPUT_DIR", "two", launcher=launcher)
    assert result.returncode == 0, result.stderr
    again = tool("train_net.py", *words, "OUTPUT_DIR", "again", launcher=launcher)
    assert again.returncode == 0, again.stderr
    two, other = (
        read_checkpoint(tmp_path / name / "checkpoints" / "latest.pt") for name in ("two", "again")
    )
    for name, value in two["model_state"].items():
        assert torch.equal(value, other["model_state"][name]), name
    records = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").open()]
    assert [r["num_samples"] for r in records if r["kind"] == "val"] == [6, 6]
    # The same checkpoint tested by one process and by two gives the same files.
    path = tmp_path / "two" / "checkpoints" / "best.pt"
    metrics = []
    for name, launch in (("by_one", ()), ("by_two", launcher)):
        words = ("--cfg", tiny_yaml, "OUTPUT_DIR", name, "TEST.CHECKPOINT_FILE_PATH", path)
        tested = tool("test_net.py", *words, launcher=launch)
        assert tested.returncode == 0, tested.stderr
        metrics.append(json.loads((tmp_path / name / "test" / "metrics.json").read_text()))
        assert (tmp_path / name / "report.html").exists()
    assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_without_validation_clips_the_newest_epoch_is_the_best(
    tool, tiny_yaml, tmp_path, colour_clips
):
    root = tmp_path / "no validation"
    shutil.copytree(colour_clips, root)
    (root / "val.csv").unlink()
    words = ("--cfg", tiny_yaml, "DATA.CLIPS.ROOT", root, "SOLVER.MAX_EPOCH", 2)
    words += ("TRAIN.EVAL_PERIOD", 0)
    expected = "TRAIN.EVAL_PERIOD must be >= 1 because cdb_ce uses validation recall"
    with pytest.raises(ConfigError, match=expected):
        train(options.load(words[1], list(map(str, words[2:]))))
    words += ("LOSS.CDB_CE.SOURCE", "train")
    with pytest.raises(ConfigError, match="because cdb_s uses validation recall"):
        train(options.load(words[1], [*map(str, words[2:]), "SAMPLER.NAME", "cdb_s"]))
    trained = tool("train_net.py", *words)
    assert trained.returncode == 0, trained.stderr
    checkpoints = tmp_path / "out" / "checkpoints"
    assert read_checkpoint(checkpoints / "best.pt")["epoch"] == 2
    with open(tmp_path / "out" / "difficulty.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["n_val"], row["recall"]) for row in rows] == [
        (epoch, "0", "") for epoch in "12" for _ in range(3)
    ]
    assert {row["difficulty"] for row in rows} != {"1.0"}
    assert sum(float(row["weight"]) for row in rows[3:]) == pytest.approx(3, abs=1e-5)
    tested = tool("test_net.py", *words)
    assert tested.returncode == 0, tested.stderr


@pytest.mark.slow
def test_processes_replace_a_bad_clip_in_the_same_way(tool, tiny_yaml, tmp_path, colour_clips):
    root = tmp_path / "damaged"
    shutil.copytree(colour_clips, root)
    (root / "train red 1.mp4").write_bytes(b"no video")
    (root / "val blue 0.mp4").unlink()
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = ("--cfg", tiny_yaml, "DATA.CLIPS.ROOT", root, "SOLVER.MAX_EPOCH", 2)
    scores = []
    for name in ("one", "other"):
        result = tool("train_net.py", *words, "OUTPUT_DIR", name, launcher=launcher)
        assert result.returncode == 0, result.stderr
        bad = RunFolder(tmp_path / name).bad_clips()
        assert [Path(row.path).name for row in bad] == ["train red 1.mp4", "val blue 0.mp4"]
        records, _ = RunFolder(tmp_path / name).records()
        scores.append([r for r in records if r["kind"] == "val"])
    assert scores[0] == scores[1]
    assert [r["num_samples"] for r in scores[0]] == [5, 5]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Where the first test that needs an uncut run leaves it for the others."""
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_cut_off_goes_on_and_ends_bit_equal(
    tool, tiny_yaml, tmp_path, whole_run, signal_number, monkeypatch
):
    words = ("--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 12, "DATA_LOADER.NUM_WORKERS", 1)
    if not whole_run.exists():
        whole = tool("train_net.py", *words, "OUTPUT_DIR", whole_run)
        assert whole.returncode == 0, whole.stderr
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=":")
    # Once the fourth is there, latest.pt is at least the third.
    monkeypatch.setenv("STOP_FILE", str(tmp_path / "cut" / "checkpoints" / "epoch_0004.pt"))
    monkeypatch.setenv("STOP_LINES", "0")
    monkeypatch.setenv("STOP_BY", str(int(signal_number)))
    stopped = tool("train_net.py", *words, "OUTPUT_DIR", "cut", "IMPORTS", "[stopper]")
    if signal_number == signal.SIGINT:
        assert stopped.returncode == 130
        assert "stopped by SIGINT after epoch" in stopped.stderr
        assert "the same command goes on there" in stopped.stderr
        assert "Traceback" not in stopped.stderr
    else:
        assert stopped.returncode == -signal_number
    done = read_checkpoint(tmp_path / "cut" / "checkpoints" / "latest.pt")["epoch"]
    assert 3 <= done < 12
    resumed = tool("train_net.py", *words, "OUTPUT_DIR", "cut")
    assert resumed.returncode == 0, resumed.stderr
    assert f"{done} of 12 epochs" in resumed.stderr
    folders = (whole_run, tmp_path / "cut")
    one, other = (read_checkpoint(folder / "checkpoints" / "latest.pt") for folder in folders)
    for part in ("model_state", "loss_state"):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), name
    logs = [(folder / "log.jsonl").read_text() for folder in folders]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_comparison_is_complete_and_repeats_nothing(tool, tiny_yaml, tmp_path):
    words = ("--cfg", tiny_yaml, "--losses", "cross_entropy,cdb_ce:tau=1", "--seeds", 2)
    words += ("--methods", "ncm,logit_adjust")
    first = tool("compare", *words, "--opts", "SOLVER.MAX_EPOCH", 1)
    words += ("SOLVER.MAX_EPOCH", 1)
    assert first.returncode == 0, first.stderr
    assert "over 2 seeds" in first.stdout
    rows = (tmp_path / "out" / "compare.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * 3
    shutil.rmtree(tmp_path / "out" / "cdb_ce,tau=1" / "seed_1" / "test")
    again = tool("compare", *words)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count(", seed ") == 1
    assert (tmp_path / "out" / "compare.csv").read_text().splitlines() == rows
    page = (tmp_path / "out" / "compare.md").read_text()
    assert page.count("| cdb_ce:tau=1 ") == 6
    config = (tmp_path / "out" / "cdb_ce,tau=1" / "seed_1" / "config.yaml").read_text()
    assert "TAU: 1.0" in config
    wrong = tool("compare", "--cfg", tiny_yaml, "--losses", "cdb_ce:tau")
    assert_one_line(wrong, "a loss must be NAME or NAME:KEY=VALUE:..., got 'cdb_ce:tau'")
    wrong = tool("compare", "--cfg", tiny_yaml, "--losses", "cross_entropy,focl")
    assert_one_line(wrong, "unknown loss 'focl'")


def test_options_behind_key_value_are_options_too():
    parser = make_parser(None, "", "")
    parser.add_argument("--json")
    words = parse(
        parser, ["--cfg", "a.yaml", "NUM_THREADS", "1", "--json", "f", TRUST, "LOGGER", "[]"]
    )
    assert (words.json, words.trust_imports) == ("f", True)
    assert words.opts == ["NUM_THREADS", "1", "LOGGER", "[]"]
