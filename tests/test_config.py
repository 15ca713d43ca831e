"""Reading options: every mistake a user can make in YAML or on the command line, in one line."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cdb_video import options
from cdb_video.config.docs import field_docs, option_help
from cdb_video.config.tree import dump, known_keys
from cdb_video.demo import CONFIG
from cdb_video.engine.prepare.task import grouping_of
from cdb_video.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))
PLAIN = [path for path in CONFIGS if path.stem.endswith("_ce")]
SAFE = [path for path in CONFIGS if path.stem.endswith("_cdb_safe")]
IMAGES = [path for path in CONFIGS if path.parent.name == "images"]
WORDS = re.compile(r"\b([A-Z0-9_]+(?:\.[A-Z0-9_]+)+) ([\w.]+)")
BASE = "DATA: {NAME: egtea}\n"


@pytest.fixture
def load(tmp_path):
    """(YAML text, *words of the command line) -> Config."""

    def load(text=BASE, *overrides):
        path = tmp_path / "some.yaml"
        path.write_text(text)
        return options.load(path, overrides)

    return load


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_loads_and_dumps_back_equal(path, tmp_path):
    loaded = options.load(path)
    copy = tmp_path / "config.yaml"
    copy.write_text(dump(loaded))
    assert options.load(copy) == loaded
    head = path.read_text().split("\n")[:8]
    for word in ("Command:", "Hardware:", "Time:", "Score:"):
        assert any(word in line for line in head), f"{path} must open with {word}"


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_the_two_configs_of_a_benchmark_differ_only_in_the_loss(path):
    ce, cdb = (options.load(path.with_stem(f"{path.stem[:-3]}_{loss}")) for loss in ("ce", "cdb"))
    assert (ce.loss.name, cdb.loss.name) == ("cross_entropy", "cdb_ce")
    assert {key for key in vars(ce) if getattr(ce, key) != getattr(cdb, key)} == {"loss"}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_what_the_head_of_an_image_config_offers_loads(path):
    head = path.read_text().split("\nTRAIN:")[0].split("# Losses:")[1]
    offered = WORDS.findall(head.replace("RATIO R", "RATIO 50"))
    assert ("LOSS.NAME", "cross_entropy") in offered
    assert {("LOSS.CDB_CE.TAU", "1"), ("LOSS.CDB_CE.MOMENTUM", "0.7")} <= set(offered)
    paper = options.load(path)
    assert paper.loss.name == "cdb_ce"
    assert paper.loss.options.momentum == 0
    for words in offered:
        changed = options.load(path, words)
        assert changed != paper or words == ("LOSS.CDB_CE.TAU", "1"), words
    assert {"data", "loss"} >= {
        key
        for words in offered
        for key in vars(paper)
        if getattr(options.load(path, words), key) != getattr(paper, key)
    }


SAFEGUARDS = {"tau": 1.0, "momentum": 0.7}


@pytest.mark.parametrize("path", SAFE, ids=lambda path: path.name)
def test_a_safe_config_adds_the_same_safeguards_to_the_paper_s_form(path):
    safe, paper = options.load(path), options.load(path.with_stem(path.stem.removesuffix("_safe")))
    with_safeguards = replace(paper.loss.options, **SAFEGUARDS)
    assert with_safeguards != paper.loss.options
    assert safe == replace(paper, loss=replace(paper.loss, options=with_safeguards))


@pytest.mark.parametrize("stem", ["clips_cdb", "demo_cdb"])
def test_configs_of_short_runs_have_the_safeguards(stem):
    loss = options.load(CONFIGS[0].with_stem(stem)).loss.options
    assert {key: getattr(loss, key) for key in SAFEGUARDS} == SAFEGUARDS


def test_what_pyslowfast_calls_otherwise_is_no_key_of_ours():
    known = {key for key, _, _ in known_keys(options.Config)}
    assert not known & set(options.PYSLOWFAST)


def test_defaults_are_filled_in(load):
    loaded = load()
    assert loaded.loss.name == "cross_entropy"
    assert loaded.solver.base_lr == 1e-3
    assert loaded.data.options.split == 1


def test_values_are_converted_where_the_meaning_is_plain(load):
    text = BASE + "SOLVER: {BASE_LR: 1, WEIGHT_DECAY: 1e-3}\n"
    loaded = load(text, "SOLVER.MOMENTUM", "5e-1", "TRAIN.AUTO_RESUME", "false")
    assert loaded.solver.base_lr == 1.0
    assert isinstance(loaded.solver.base_lr, float)
    assert loaded.solver.weight_decay == 1e-3
    assert loaded.solver.momentum == 0.5
    assert loaded.train.auto_resume is False


def test_the_command_line_wins_and_reads_what_the_option_wants(load):
    loaded = load(
        BASE + "LOSS: {NAME: cdb_ce}\nOUTPUT_DIR: here\n",
        *["LOSS.CDB_CE.TAU", "1.5", "LOSS.CDB_CE.TAU_MAX", "null", "OUTPUT_DIR", "123"],
        *["SOLVER.STEPS", "[0, 2.5]", "AUG.FLIP_LABELS", "[[left, right]]"],
    )
    assert loaded.loss.options.tau == 1.5
    assert loaded.loss.options.tau_max is None
    assert loaded.output_dir == "123"
    assert loaded.solver.steps == (0.0, 2.5)
    assert loaded.aug.flip_labels == (("left", "right"),)
    assert load(BASE, "LOSS.NAME", "cdb_ce").loss.options.tau == "dynamic"


def test_a_base_is_read_first(tmp_path, load):
    (tmp_path / "base.yaml").write_text(BASE + "SOLVER: {BASE_LR: 0.5, MOMENTUM: 0.1}\n")
    loaded = load("_BASE_: base.yaml\nSOLVER: {BASE_LR: 0.25}\n")
    assert (loaded.solver.base_lr, loaded.solver.momentum) == (0.25, 0.1)
    with pytest.raises(ConfigError, match="must name one file without a _BASE_"):
        load("_BASE_: some.yaml\n")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("SOLVER.BASE_LRR 1", "unknown key SOLVER.BASE_LRR; did you mean SOLVER.BASE_LR?"),
        ("TAU 1", "unknown key TAU; did you mean LOSS.CDB_CE.TAU?"),
        ("MODEL.MODEL_NAME x", "unknown key MODEL.MODEL_NAME; here it is MODEL.NAME"),
        ("NUM_GPUS 2", "unknown key NUM_GPUS; here it is torchrun --nproc_per_node N"),
        ("TRAIN.ENABLE False", "unknown key TRAIN.ENABLE; here it is the command: "),
        (
            "DATA.PATH_TO_DATA_DIR /d",
            "unknown key DATA.PATH_TO_DATA_DIR; here it is DATA.<DATASET>",
        ),
        ("MODEL.ARCH x3d", "unknown key MODEL.ARCH; here it is MODEL.NAME"),
        ("TEST.CHECKPOINT_TYPE pytorch", "unknown key TEST.CHECKPOINT_TYPE; here it is nothing: "),
        ("TENSORBOARD.ENABLE True", "unknown key TENSORBOARD; here it is LOGGER '[]'"),
        ("SOLVER.BASE_LR -5", "SOLVER.BASE_LR must be a number > 0, got '-5'"),
        ("SOLVER.BASE_LR 1e309", "SOLVER.BASE_LR must be a number > 0, got '1e309'"),
        ("SOLVER.MOMENTUM 1", "SOLVER.MOMENTUM must be a number in [0, 1), got '1'"),
        ("SOLVER.MAX_EPOCH 2.5", "SOLVER.MAX_EPOCH must be an integer >= 1, got '2.5'"),
        ("TRAIN.AUTO_RESUME yes", "TRAIN.AUTO_RESUME must be true or false, got 'yes'"),
        ("RNG_SEED null", "RNG_SEED must be an integer >= 0, got 'null'"),
        ("DATA.SAMPLING x", "DATA.SAMPLING must be 'segments' or 'dense', got 'x'"),
        ("DATA.MEAN [1,2]", "DATA.MEAN must be 'auto' or a list of 3: a number, a number"),
        (
            "LOSS.CDB_CE.TAU dyn",
            "LOSS.CDB_CE.TAU must be a number >= 0, 'dynamic' or 'dynamic_released', got 'dyn'",
        ),
        ("LOSS.NAME cdb", "LOSS.NAME: unknown loss 'cdb'; did you mean 'cdb_ce'?"),
        ("MODEL.RESNEXT3D.CARDINALITY 7", "MODEL.RESNEXT3D: cardinality must divide width 128"),
        ("SOLVER.STEPS [0,5,2]", "SOLVER: STEPS must"),
        ("SOLVER.WARMUP_EPOCHS 101", "SOLVER: WARMUP_EPOCHS must be at most MAX_EPOCH 100"),
        ("AUG.CROP_SCALE [0.9,0.2]", "AUG: CROP_SCALE must be [smallest, largest]"),
        ("TRAIN 3", "TRAIN must be a section of KEY: value lines, got '3'"),
        ("SOLVER.BASE_LR", "options must be KEY VALUE pairs, got a KEY without VALUE"),
        ("RNG_SEED 1 RNG_SEED.X 2", "RNG_SEED.X contradicts an earlier option"),
        ("IMPORTS [no_such_module]", "IMPORTS: cannot import 'no_such_module'"),
        ("IMPORTS [.os]", "IMPORTS must name modules, such as my_net, got '.os'"),
    ],
)
def test_a_wrong_word_is_one_clear_line(load, overrides, message):
    with pytest.raises(ConfigError) as error:
        load(BASE, *overrides.split())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold KEY: value lines, got None"),
        ("- a\n- b\n", "must hold KEY: value lines, got ['a', 'b']"),
        ("DATA: {NAME: egtea}\nDATA: {NAME: clips}\n", "line 2: DATA is given twice"),
        ("DATA: {NAME: [egtea}\n", "is not YAML"),
        ("DATA: {NAME: egtea}\n1: 2\n", "a key must be text, got 1"),
        ("DATA: {NAME: egtea}\n[1, 2]: 2\n", "line 2: a key must be plain text"),
        ("OUTPUT_DIR: 2024-02-30\n", "is not YAML: day "),
        ("RNG_SEED: 0x_\n", "is not YAML: invalid literal"),
        ("RNG_SEED: !!bool 7\n", "is not YAML"),
        ("A: &a [x]\nB: *a\n", "line 2: aliases are not understood, got *a"),
        ("A: " + "[" * 400 + "]" * 400 + "\n", "more than 50 levels are nested"),
        ("A: " + "x" * 1_000_001 + "\n", "longer than 1,000,000 characters"),
        ("DATA: {NAME: egtea}\nIMPORTS: ['.os']\n", "wants to run the code of .os"),
        ("SOLVER: {BASE_LR: 1}\n", "DATA.NAME is required, got nothing"),
        ("DATA: {NAME: egtea}\nRNG_SEED: null\n", "RNG_SEED must be an integer >= 0, got None"),
        ("DATA: {NAME: egtea}\nRNG_SEED: true\n", "RNG_SEED must be an integer >= 0, got True"),
        ("DATA: {NAME: egtea}\nSOLVER: {BASE_LR: .nan}\n", "a number > 0, got nan"),
        ("DATA: {NAME: egtea}\nX: !!python/object/apply:os.getcwd []\n", "is not YAML"),
        ("DATA: {NAME: egtea, CLIPS: {ROOTT: x}}\n", "unknown key DATA.CLIPS.ROOTT"),
    ],
)
def test_a_wrong_file_is_one_clear_line(load, text, message):
    with pytest.raises(ConfigError) as error:
        load(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_or_binary_file_is_one_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot read config .*: No such file"):
        options.load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not a UTF-8 text file"):
        options.load(tmp_path / "binary.yaml")


def test_options_cannot_be_changed(load):
    with pytest.raises(AttributeError):
        load().solver.base_lr = 1.0


def test_every_option_is_documented():
    for key, owner, name in known_keys(options.Config):
        assert field_docs(owner).get(name), f"{key} has no docstring"
    text = option_help(options.Config)
    assert "LOSS.CDB_CE.TAU  [a number >= 0, 'dynamic' or 'dynamic_released'; default" in text
    assert "DATA.NAME  [text; required]" in text


def test_option_texts_are_whole_sentences():
    """They begin with their subject, end with a stop, and say one thing at a time."""
    for key, owner, name in known_keys(options.Config):
        text = field_docs(owner)[name]
        assert text[0].isupper() or text.startswith(("'", "``")), key
        assert text.endswith("."), key
        assert ";" not in text, key


IMPORTING = """
from cdb_video import options
words = ["LOSS.NAME", "mine", "LOSS.MINE.DEPTH", "5"]
try:
    options.load("some.yaml", words)
except Exception as error:
    print(error)
loaded = options.load("some.yaml", words, trust_imports=True)
print(loaded.loss.options.depth)
"""


def test_imports_register_a_users_own_component(tmp_path):
    (tmp_path / "my_losses.py").write_text(
        "from dataclasses import dataclass\n"
        "from cdb_video.losses.base import Loss\n"
        "from cdb_video.registry import LOSSES\n"
        "@LOSSES.register('mine')\n"
        "class Mine(Loss):\n"
        "    @dataclass(frozen=True)\n"
        "    class Options:\n"
        "        depth: int = 3\n"
    )
    (tmp_path / "some.yaml").write_text("IMPORTS: [my_losses]\n" + BASE)
    # In a process of its own, so that the registry of the other tests stays as it is.
    result = subprocess.run(
        [sys.executable, "-c", IMPORTING], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    refused, depth = result.stdout.splitlines()
    assert "some.yaml wants to run the code of my_losses (IMPORTS)" in refused
    assert "--trust-imports" in refused
    assert depth == "5"


def test_the_package_carries_the_demo_s_config_and_all_that_it_needs(tmp_path):
    """As in a wheel, where there is no folder ``configs``."""
    for path in CONFIG.parent.glob("*.yaml"):
        shutil.copy(path, tmp_path)
    carried = options.load(tmp_path / CONFIG.name)
    assert carried == options.load(Path(__file__).parents[1] / "configs" / "demo_cdb.yaml")


def test_groups_of_the_long_tailed_field_are_one_word(load):
    groups = load(BASE, "GROUPS.NAME", "head_medium_tail").groups
    found = grouping_of(groups, np.array([19, 20, 100, 101]), ["a", "b", "c", "d"])
    assert found.groups == ["tail", "medium", "medium", "head"]


def test_groups_are_understood_as_version_0_1_named_them(load):
    """As in its config.yaml, and in commands of its time."""
    old = (
        BASE + "TEST: {GROUPS: mean, GROUP_THRESHOLDS: [5], GROUP_NAMES: [a, b], HEAD_SHARE: 0.4}\n"
    )
    assert load(old).groups.name == "mean"
    chosen = load(old, "TEST.GROUPS", "by_thresholds", "TEST.GROUP_COUNTS", "train+val").groups
    assert (chosen.options.thresholds, chosen.options.names) == ((5,), ("a", "b"))
    assert chosen.counts == "train+val"
    assert load(old, "GROUPS.NAME", "head_tail_fewshot").groups.options.head_share == 0.4
    assert load(old, "GROUPS.NAME", "epic_tail", "TEST.GROUPS", "mean").groups.name == "epic_tail"
    with pytest.raises(ConfigError, match=r"GROUPS.NAME: unknown grouping 'meen'"):
        load(BASE, "TEST.GROUPS", "meen")
