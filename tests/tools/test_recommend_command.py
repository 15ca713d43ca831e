"""Which losses to try: what is said, and that the command it ends with is one."""

import csv
import shlex

import pytest
import yaml

from cdb_video import options
from cdb_video.commands import main
from cdb_video.commands.compare import loss_words
from cdb_video.output.rows import DifficultyRow
from cdb_video.output.run_folder import RunFolder

NAMES = ("fall", "jump", "run", "wave")
SAFE, PAPER = "cdb_ce:tau=1:momentum=0.7", "cdb_ce:tau=dynamic:momentum=0"


@pytest.fixture
def ask(tmp_path, capsys):
    """Calls the command on lists of these sizes; what it says by topic, and its last line."""

    def ask(train=(40, 20, 8, 4), val=(20, 20, 20, 20), test=(50, 50, 50, 50), words=()):
        root = tmp_path / "data"
        root.mkdir(exist_ok=True)
        for split, sizes in (("train", train), ("val", val), ("test", test)):
            rows = [
                (f"{split}{name}{n}.mp4", name)
                for name, size in zip(NAMES, sizes, strict=True)
                for n in range(size)
            ]
            with (root / f"{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("path", "label"), *rows])
        cfg = tmp_path / "a cfg.yaml"
        data = {"NAME": "clips", "CLIPS": {"ROOT": str(root)}}
        cfg.write_text(yaml.safe_dump({"DATA": data, "OUTPUT_DIR": str(tmp_path / "run")}))
        assert main(["recommend", "--cfg", str(cfg), *words]) == 0
        *reasons, blank, command = capsys.readouterr().out.splitlines()
        assert blank == ""
        return dict(line.split("\t") for line in reasons), shlex.split(command)

    return ask


def losses(command):
    """Those that the command compares; every one of them is a loss with options that exist."""
    assert command[:2] == ["cdb-video", "compare"]
    cfg, listed = command[3], command[5].split(",")
    words = command[10:]
    for loss in listed:
        options.load(cfg, [*words, *loss_words(loss)])
    return listed


def test_sizes_alone(ask, tmp_path):
    said, command = ask()
    assert said["sizes"].startswith(
        "4 classes of 4 to 40 training clips (1:10): try first cdb_logit;"
    )
    assert said["difficulty"].startswith("no run yet")
    assert "validation" not in said
    assert losses(command) == ["cross_entropy", "balanced_softmax", "cdb_logit", SAFE, PAPER]
    assert command[6:] == [
        "--methods",
        "crt,ncm",
        "--seeds",
        "5",
        *("OUTPUT_DIR", f"{tmp_path}/run_losses"),
    ]


def test_equal_sizes_need_no_loss_by_size(ask):
    said, command = ask(train=(10, 11, 12, 10))
    assert "try first cross_entropy; cdb_logit, if the worst class matters." in said["sizes"]
    assert losses(command) == ["cross_entropy", "cdb_logit", SAFE, PAPER]


def test_pretrained_weights_speak_for_the_papers_form(ask):
    said, command = ask(words=["MODEL.PRETRAINED", "weights.pth"])
    assert "pretrained" in said
    assert "from scratch" not in said
    assert losses(command)[2:] == ["cdb_logit", PAPER]
    assert command[-4:-2] == ["MODEL.PRETRAINED", "weights.pth"]


def test_few_and_no_validation_clips(ask):
    said, _ = ask(val=(20, 4, 20, 0))
    assert said["validation"].startswith("1 classes have less than 12 clips, as few as 4")
    assert "uncertain by 25 points" in said["validation"]
    said, command = ask(words=["TRAIN.EVAL_PERIOD", "0"])
    assert said["validation"].startswith("none: difficulty comes from training recall")
    assert losses(command) == [
        "cross_entropy",
        "balanced_softmax",
        *(f"{loss}:source=train" for loss in ("cdb_logit", SAFE, PAPER)),
    ]
    said, command = ask(words=["DATA.NUM_FRAMES", "1"])
    assert losses(command)[-1] == SAFE


def test_a_balancing_sampler_is_left_out_while_losses_are_compared(ask):
    said, command = ask(words=["SAMPLER.NAME", "class_balanced"])
    assert "class_balanced and a loss by sizes" in said["sampler"]
    assert command[command.index("SAMPLER.NAME") + 1] == "shuffle"
    assert command.count("SAMPLER.NAME") == 1


@pytest.mark.parametrize(
    ("test", "seeds", "uncertain"), [((5,) * 4, "5", "10.2"), ((400,) * 4, "3", "1.1")]
)
def test_small_tests_need_more_seeds(ask, test, seeds, uncertain):
    said, command = ask(test=test)
    assert f"uncertain by {uncertain} points" in said["test"]
    assert command[command.index("--seeds") + 1] == seeds


def history(folder, recalls):
    rows = [
        DifficultyRow(epoch, c, NAMES[c], 20, recall, 1 - recall, 1.0, 1.0)
        for epoch, line in enumerate(recalls, start=1)
        for c, recall in enumerate(line)
    ]
    folder.mkdir()
    RunFolder(folder).append_difficulty(rows)


def test_a_run_tells_what_is_hard_and_what_swings(ask, tmp_path):
    history(tmp_path / "run", [(0.2, 0.5, (n % 2) * 0.9, 0.8) for n in range(8)])
    said, command = ask()
    assert "recall -1.00: large classes are the hard ones" in said["difficulty"]
    assert said["swing"].startswith("recall of 1 classes changes by over 25 points")
    assert "such as run" in said["swing"]
    assert "never recognised" not in said
    assert losses(command) == ["cross_entropy", "balanced_softmax", "cdb_logit", SAFE, PAPER]


def test_a_run_in_which_size_tells_little(ask, tmp_path):
    history(tmp_path / "run", [(0.5, 0.9, 0.2, 0.6)] * 4)
    said, _ = ask()
    assert "recall +0.00: sizes do not explain" in said["difficulty"]


def test_a_run_in_which_small_classes_are_the_hard_ones(ask, tmp_path):
    history(tmp_path / "run", [(0.9, 0.7, 0.3, 0.0)] * 4)
    said, _ = ask()
    assert "recall +1.00: small classes are the hard ones" in said["difficulty"]
    assert said["never recognised"].startswith("1 classes in the last validations, such as wave")
    assert "swing" not in said
