"""Input normalisation: it comes with the weights, stays with the run, and never differs unsaid."""

import json
import shutil

import pytest
import torch
from fvcore.common.config import CfgNode

from cdb_video import options
from cdb_video.commands.compare import compare
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.retrain.retrain import retrain
from cdb_video.engine.train.loop import train
from cdb_video.engine.train.run import prepare
from cdb_video.errors import CheckpointError
from cdb_video.models import Checkpoint, build_model

AUTO = ("DATA.MEAN", "auto", "DATA.STD", "auto", "SOLVER.MAX_EPOCH", 1)
ACTIVITYNET = ((114.7748, 107.7354, 99.475), (1.0, 1.0, 1.0))
KINETICS = ((114.75, 114.75, 114.75), (57.375, 57.375, 57.375))
TINY = {"stage_blocks": (1, 1, 1, 1), "width": 8, "cardinality": 2}


@pytest.fixture
def pyslowfast(tmp_path):
    """A file of the tiny network's weights as PySlowFast writes it."""
    cfg = CfgNode({"DATA": {"MEAN": [0.45] * 3, "STD": [0.225] * 3}})
    content = {
        "epoch": 5,
        "model_state": build_model("resnext3d", 400, **TINY).state_dict(),
        "cfg": cfg.dump(),
    }
    torch.save(content, tmp_path / "net.pyth")
    return tmp_path / "net.pyth"


@pytest.fixture
def unstated(tmp_path):
    """The tiny network's weights, and no more, in the form of the Kinetics checkpoints."""
    state = build_model("resnext3d", 400, **TINY).state_dict()
    torch.save({"state_dict": {f"module.{n}": v for n, v in state.items()}}, tmp_path / "net.pth")
    return tmp_path / "net.pth"


def used(run):
    return run.learner.model.normalisation


def prepared(config):
    return prepare(config, torch.device("cpu"))


def left_behind(folder, name="latest"):
    """Mean and std in a checkpoint, which are the model's."""
    checkpoint = Checkpoint.read(f"{folder}/checkpoints/{name}.pt")
    assert checkpoint.open().normalisation == checkpoint.normalisation
    return checkpoint.normalisation


def test_from_scratch_it_is_the_backbone_s_without_a_word(configured, capsys):
    assert used(prepared(configured("out", *AUTO))) == ACTIVITYNET
    assert used(prepared(configured("given"))) == ((115, 108, 99), (60, 60, 60))
    assert "DATA." not in capsys.readouterr().err


def test_it_comes_with_the_weights(configured, pyslowfast, capsys):
    config = configured("out", *AUTO, "MODEL.PRETRAINED", pyslowfast)
    assert used(prepared(config)) == KINETICS
    # What the user wrote stays in config.yaml: the numbers are the checkpoint's.
    kept = options.load(f"{config.output_dir}/config.yaml")
    assert (
        (kept.data.mean, kept.data.std) == (config.data.mean, config.data.std) == ("auto", "auto")
    )
    assert "DATA." not in capsys.readouterr().err


def test_weights_that_do_not_say_are_taken_to_be_the_backbone_s(configured, unstated, capsys):
    run = prepared(configured("out", *AUTO, "MODEL.PRETRAINED", unstated))
    assert used(run) == ACTIVITYNET
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "DATA.MEAN" in one]
    assert f"{unstated} does not say how its input was normalised" in line
    assert "DATA.MEAN [114.7748, 107.7354, 99.475], DATA.STD [1.0, 1.0, 1.0]" in line
    given = ("DATA.MEAN", "[114.7748, 107.7354, 99.475]", "DATA.STD", "[1, 1, 1]")
    prepared(configured("given", *AUTO, *given, "MODEL.PRETRAINED", unstated))
    assert "DATA." not in capsys.readouterr().err


def test_another_number_is_used_with_one_warning_that_names_both(
    configured, pyslowfast, unstated, capsys
):
    words = ("DATA.STD", "[57.4, 57.4, 58]", "MODEL.PRETRAINED")
    run = prepared(configured("out", *AUTO, *words, pyslowfast))
    assert used(run) == (KINETICS[0], (57.4, 57.4, 58))
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "warning" in one]
    assert line == (
        f"warning: DATA.STD [57.4, 57.4, 58.0] is used, but {pyslowfast} was trained with "
        "DATA.STD [57.375, 57.375, 57.375]"
    )
    prepared(configured("other", *AUTO, *words, unstated))
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "warning" in one]
    assert line == (
        f"warning: DATA.STD [57.4, 57.4, 58.0] is used, but {unstated} does not say, and the "
        "published weights of resnext3d were trained with DATA.STD [1.0, 1.0, 1.0]"
    )


def test_numbers_that_differ_by_rounding_are_not_another(configured, pyslowfast, capsys):
    words = ("DATA.STD", "[57.4, 57.4, 57.4]", "MODEL.PRETRAINED", pyslowfast)
    prepared(configured("out", *AUTO, *words))
    assert "warning" not in capsys.readouterr().err


def test_a_run_keeps_it_through_test_retraining_and_resumption(configured, pyslowfast, capsys):
    """With 'auto' and without the file it began with; explicit numbers are compared."""
    words = (*AUTO, "RETRAIN.METHOD", "ncm")
    begun = configured("out", *words, "MODEL.PRETRAINED", pyslowfast)
    train(begun)
    assert left_behind(begun.output_dir) == KINETICS
    pyslowfast.unlink()
    config = configured("out", *words)
    run_test(config)
    retrain(config)
    assert left_behind(f"{config.output_dir}/ncm", "best") == KINETICS
    longer = configured("out", *words, "SOLVER.MAX_EPOCH", 2)
    assert used(prepared(longer)) == KINETICS
    same = configured("out", *words, "DATA.MEAN", "[114.75, 114.75, 114.75]")
    assert used(prepared(same)) == KINETICS
    assert "warning" not in capsys.readouterr().err
    other = configured("out", *words, "DATA.STD", "[60, 60, 60]")
    message = r"was trained with DATA\.STD \[57\.375, .*, got DATA\.STD \[60\.0, 60\.0, 60\.0\]"
    for use in (train, run_test, retrain):
        with pytest.raises(CheckpointError, match=message):
            use(other)


def test_a_checkpoint_of_ours_starts_another_run_with_its_numbers(configured, capsys):
    first = configured("first", "SOLVER.MAX_EPOCH", 1)
    train(first)
    best = f"{first.output_dir}/checkpoints/best.pt"
    tuned = prepared(configured("tuned", *AUTO, "MODEL.PRETRAINED", best))
    assert used(tuned) == left_behind(first.output_dir) == ((115, 108, 99), (60, 60, 60))
    capsys.readouterr()
    prepared(configured("plain", "DATA.STD", "[1, 1, 1]", "MODEL.PRETRAINED", best))
    assert "DATA.STD [1.0, 1.0, 1.0] is used, but" in capsys.readouterr().err


def test_testing_gives_the_same_scores_with_auto(configured):
    config = configured("out", "SOLVER.MAX_EPOCH", 1)
    train(config)
    scores = []
    for words in ((), AUTO):
        run_test(configured("out", *words))
        with open(f"{config.output_dir}/test/predictions.csv") as file:
            scores.append(file.read())
        shutil.rmtree(f"{config.output_dir}/test")
    assert scores[0] == scores[1]


def test_weights_that_do_not_fit_stop_the_run_before_anything_is_written(configured, tmp_path):
    wider = build_model("resnext3d", 3, **{**TINY, "width": 16})
    torch.save(wider.state_dict(), tmp_path / "wider.pt")
    config = configured("out", "MODEL.PRETRAINED", tmp_path / "wider.pt")
    with pytest.raises(CheckpointError, match=r"wider\.pt: 0\.0% of the backbone's parameters"):
        train(config)
    assert not (tmp_path / "out").exists()


def test_the_smallest_share_is_an_option(configured, tmp_path):
    weights = build_model("resnext3d", 3, **TINY).state_dict()
    del weights["layer4.0.conv3.weight"]
    torch.save(weights, tmp_path / "part.pt")
    words = ("MODEL.PRETRAINED", tmp_path / "part.pt", "MODEL.PRETRAINED_MIN_FRACTION")
    with pytest.raises(CheckpointError, match=r"at least 99\.0% must"):
        prepared(configured("out", *words, 0.99))
    prepared(configured("out", *words, 0.01))


def test_a_comparison_with_auto_repeats_nothing(tiny_yaml, tmp_path, capsys):
    words = [*map(str, AUTO), "OUTPUT_DIR", str(tmp_path / "compared")]
    compare(tiny_yaml, words, ["cross_entropy"], 1)
    assert "seed 0" in capsys.readouterr().err
    metrics = tmp_path / "compared" / "cross_entropy" / "seed_0" / "test" / "metrics.json"
    before = json.loads(metrics.read_text())
    compare(tiny_yaml, words, ["cross_entropy"], 1)
    assert "seed 0" not in capsys.readouterr().err
    assert json.loads(metrics.read_text()) == before
