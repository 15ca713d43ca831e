"""Training: it learns, it repeats to the bit, and an interrupted run ends as a whole one."""

import csv
import filecmp
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cdb_video import options
from cdb_video.data.batches.batch import Batch
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.loop import train
from cdb_video.engine.train.plan import Step
from cdb_video.engine.train.run import prepare
from cdb_video.errors import CheckpointError, ConfigError, TrainingError
from cdb_video.models import read_checkpoint


def checkpoint(config, name="latest.pt"):
    return read_checkpoint(f"{config.output_dir}/checkpoints/{name}")


def assert_equal(one, other):
    """Bit equality of nested dicts and lists of tensors and plain values."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def states(config):
    content = checkpoint(config)
    return {k: v for k, v in content.items() if k.endswith("state") or k in ("epoch", "best")}


def records(config):
    with open(f"{config.output_dir}/log.jsonl") as file:
        return [json.loads(line) for line in file]


def test_it_learns_colours(configured):
    adamw = ("SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.BASE_LR", 1e-2)
    cosine = ("SOLVER.LR_POLICY", "cosine", "SOLVER.MAX_EPOCH", 40, "TRAIN.EVAL_PERIOD", 40)
    config = configured("out", *adamw, *cosine, "LOSS.NAME", "cross_entropy")
    train(config)
    metrics = run_test(config)
    # Not 1: processors round differently, and some seeds miss one of the 7 clips. Guessing: 0.43.
    assert metrics["top1"] > 0.8
    losses = [r["loss"] for r in records(config) if r["kind"] == "train_epoch"]
    assert losses[-1] < losses[0] / 2


def test_same_seed_same_bits_other_seed_other_bits(configured):
    first, again, workers, other = (
        configured("first"),
        configured("again"),
        configured("workers", "DATA_LOADER.NUM_WORKERS", 2),
        configured("other", "RNG_SEED", 1),
    )
    for config in (first, again, workers, other):
        train(config)
    assert_equal(states(first), states(again))
    assert_equal(states(first), states(workers))
    assert not torch.equal(
        checkpoint(first)["model_state"]["fc.weight"], checkpoint(other)["model_state"]["fc.weight"]
    )


@pytest.mark.parametrize(
    ("stop_after", "words"),
    [
        (1, ("LOSS.CDB_CE.MOMENTUM", 0.5)),
        (3, ("LOSS.CDB_CE.MOMENTUM", 0.5)),
        (3, ("SAMPLER.NAME", "cdb_s", "SAMPLER.CDB_S.MOMENTUM", 0.5)),
        (2, ("SAMPLER.NAME", "progressive")),
        (1, ("SAMPLER.NAME", "repeat_factor", "SAMPLER.REPEAT_FACTOR.THRESHOLD", 0.5)),
    ],
)
def test_a_resumed_run_ends_bit_equal(configured, stop_after, words, monkeypatch):
    whole = configured("whole", "MODEL.DROPOUT_RATE", 0.3, *words)
    train(whole)
    cut = configured("cut", "MODEL.DROPOUT_RATE", 0.3, *words)
    _interrupt_in_epoch(stop_after + 1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    monkeypatch.undo()
    assert checkpoint(cut)["epoch"] == stop_after
    train(cut)
    assert_equal(states(whole), states(cut))
    assert_equal(records(whole), records(cut))
    names = [f"{c.output_dir}/difficulty.csv" for c in (whole, cut)]
    assert filecmp.cmp(*names, shallow=False)


def _interrupt_in_epoch(epoch, monkeypatch):
    """Stops training as Ctrl-C would, at the second step of ``epoch``."""
    original = Learner.gradient

    def interrupted(learner, window, step):
        if (step.epoch, step.number) == (epoch, 1):
            raise KeyboardInterrupt
        original(learner, window, step)

    monkeypatch.setattr(Learner, "gradient", interrupted)


def test_the_sampler_knows_how_long_the_run_is(configured):
    config = configured("out", "SAMPLER.NAME", "progressive", "SOLVER.MAX_EPOCH", 8)
    sampler = prepare(config, torch.device("cpu")).learner.sampler
    assert sampler.probabilities(8).tolist() == pytest.approx([1 / 3] * 3)
    assert sampler.probabilities(4)[0] == pytest.approx((6 / 11 + 1 / 3) / 2)


def test_a_finished_run_is_left_alone_and_can_be_extended(configured):
    config = configured()
    train(config)
    before = states(config)
    train(config)
    assert_equal(before, states(config))
    train(configured("out", "SOLVER.MAX_EPOCH", 5))
    assert checkpoint(config)["epoch"] == 5


def test_a_run_with_other_options_is_refused_and_loses_nothing(configured):
    config = configured()
    train(config)
    before = states(config)
    with pytest.raises(CheckpointError, match=r"SOLVER.BASE_LR 0.02, got 0.01; choose another"):
        train(configured("out", "SOLVER.BASE_LR", 0.01))
    assert_equal(before, states(config))
    train(configured("out", "SOLVER.BASE_LR", 0.01, "TRAIN.AUTO_RESUME", "false"))
    assert checkpoint(config)["epoch"] == 4
    assert [r["epoch"] for r in records(config) if r["kind"] == "val"] == [1, 2, 3, 4]


def test_what_a_run_leaves_behind(configured):
    config = configured()
    train(config)
    run_test(config)
    folder = config.output_dir
    names = {
        "config.yaml",
        "log.jsonl",
        "facts.jsonl",
        "lists.json",
        "difficulty.csv",
        "tensorboard",
        "checkpoints",
        "test",
    }
    assert set(os.listdir(folder)) == names
    assert set(os.listdir(f"{folder}/test")) == {
        "metrics.json",
        "per_class.csv",
        "predictions.csv",
        "confusion.csv",
    }
    assert set(os.listdir(f"{folder}/checkpoints")) == {
        *(f"epoch_000{n}.pt" for n in (1, 2, 3, 4)),
        "latest.pt",
        "best.pt",
    }
    written = options.load(f"{folder}/config.yaml")
    assert replace(written, num_threads=config.num_threads) == config
    assert written.num_threads == torch.get_num_threads()
    kinds = [r["kind"] for r in records(config)]
    assert kinds.count("train_step") == 4 * 3
    assert (kinds.count("train_epoch"), kinds.count("val"), kinds.count("test")) == (4, 4, 1)
    assert [r["step"] for r in records(config) if r["kind"] == "train_epoch"] == [3, 6, 9, 12]
    with open(f"{folder}/difficulty.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3
    assert list(rows[0]) == [
        "epoch",
        "class",
        "name",
        "n_val",
        "recall",
        "difficulty",
        "weight",
        "tau",
    ]
    assert sum(float(row["weight"]) for row in rows[:3]) == pytest.approx(3, abs=1e-4)


def test_tensorboard_has_the_scores_and_a_picture_of_difficulty(configured):
    config = configured()
    train(config)
    board = EventAccumulator(f"{config.output_dir}/tensorboard").Reload()
    recalls = [r["mean_class_recall"] for r in records(config) if r["kind"] == "val"]
    shown = [event.value for event in board.Scalars("val/mean_class_recall")]
    assert shown == pytest.approx(recalls)
    pictures = board.Images("difficulty")
    assert [picture.step for picture in pictures] == [3, 6, 9, 12]
    # Three classes down, as many validations across as there were.
    assert [(p.height, p.width) for p in pictures] == [(24, 8 * n) for n in (1, 2, 3, 4)]


def test_test_files_agree_with_each_other(configured):
    config = configured()
    train(config)
    metrics = run_test(config)
    with open(f"{config.output_dir}/test/metrics.json") as file:
        assert json.load(file) == metrics
    with open(f"{config.output_dir}/test/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == metrics["num_samples"] == 7
    right = [row["label"] == row["predicted"] for row in rows]
    assert metrics["top1"] == pytest.approx(np.mean(right))
    for row in rows:
        scores = [float(row[f"score_{c}"]) for c in range(3)]
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert int(row["predicted"]) == int(np.argmax(scores))
    with open(f"{config.output_dir}/test/confusion.csv", newline="") as file:
        counts = np.array([row[1:] for row in csv.reader(file)][1:], dtype=int)
    assert counts.sum(1).tolist() == [3, 2, 2]
    assert counts.trace() == sum(right)


def test_views_are_averaged_and_reported(configured):
    config = configured("out", "TEST.NUM_ENSEMBLE_VIEWS", 2, "TEST.NUM_SPATIAL_CROPS", 3)
    train(config)
    metrics = run_test(config)
    assert metrics["views"] == {"temporal": 2, "spatial": 3, "average": "probabilities"}
    assert metrics["num_samples"] == 7


def test_accumulated_gradients_are_those_of_the_whole_batch(configured):
    config = configured("out", "LOSS.NAME", "cross_entropy", "TRAIN.BATCH_SIZE", 7)
    run = prepare(config, torch.device("cpu"))
    model = run.learner.model.eval()  # with fixed statistics batch norm treats each clip alike
    whole = next(run.plan.train_loader.batches(1))
    parts = [Batch(*(t[:5] for t in whole[:3])), Batch(*(t[5:] for t in whole[:3]))]
    results = []
    for window in ([whole], parts):
        model.zero_grad()
        run.learner.gradient(window, Step(1, 0, 0, True))
        run.learner.seen.end_step()
        loss, recalls = run.learner.seen.take()
        assert recalls.classes.counts.sum() == 7
        results.append([torch.tensor(loss), *(p.grad.clone() for p in model.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_accumulation_takes_as_many_steps(configured):
    config = configured("out", "SOLVER.ACCUMULATION_STEPS", 2, "SOLVER.MAX_EPOCH", 1)
    train(config)
    assert [r["step"] for r in records(config) if r["kind"] == "train_step"] == [1, 2, 3]


def test_old_checkpoints_go_but_best_and_latest_stay(configured):
    config = configured("out", "TRAIN.KEEP_CHECKPOINTS", 1)
    train(config)
    assert set(os.listdir(f"{config.output_dir}/checkpoints")) == {
        "epoch_0004.pt",
        "latest.pt",
        "best.pt",
    }


def test_best_is_the_epoch_with_the_highest_metric(configured):
    config = configured("out", "TRAIN.BEST_METRIC", "top1")
    train(config)
    scores = [r["top1"] for r in records(config) if r["kind"] == "val"]
    best = checkpoint(config, "best.pt")
    assert best["epoch"] == 1 + int(np.argmax(scores))
    assert best["best"] == max(scores)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clips(configured):
    config = configured("out", "SOLVER.BASE_LR", 1e30)
    with pytest.raises(TrainingError, match=r"epoch \d+, step \d+: the loss is nan; clips: .*mp4"):
        train(config)


def test_bfloat16_trains(configured):
    # One frame: where oneDNN's bfloat16 convolutions read memory that nobody wrote.
    words = ("DATA.NUM_FRAMES", 1, "SOLVER.MAX_EPOCH", 2)
    config = configured("out", "TRAIN.MIXED_PRECISION", "true", *words)
    train(config)
    assert checkpoint(config)["model_state"]["conv1.weight"].dtype == torch.float32


def test_the_best_scores_alone_are_written_where_that_is_asked(configured):
    train(configured("out", "SOLVER.MAX_EPOCH", 1))
    every = run_test(configured("out"))
    with open(configured("out").output_dir + "/test/predictions.csv", newline="") as file:
        full = [*csv.DictReader(file)]
    best = run_test(configured("out", "TEST.TOP_K", 2))
    assert best["mean_average_precision"] is best["top5"] is None
    assert best["mean_class_recall"] == every["mean_class_recall"]
    with open(configured("out").output_dir + "/test/predictions.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [*rows[0]][-4:] == ["class_1", "score_1", "class_2", "score_2"]
    for row, before in zip(rows, full, strict=True):
        assert row["class_1"] == row["predicted"] == before["predicted"]
        assert float(row["score_1"]) == pytest.approx(float(before["score"]), abs=2e-6)
        second = sorted(float(before[f"score_{c}"]) for c in range(3))[1]
        assert float(row["score_2"]) == pytest.approx(second, abs=2e-6)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [({"fp32": 2.0, "bf16": 1.0}, "bf16"), ({"fp32": 1.0, "bf16": 0.99}, "fp32")],
)
def test_auto_takes_the_fastest_precision_and_keeps_it(configured, monkeypatch, seconds, chosen):
    words = ("TRAIN.PRECISION", "auto", "SOLVER.MAX_EPOCH")
    monkeypatch.setattr("cdb_video.engine.prepare.precision._step_seconds", lambda *_: seconds)
    train(configured("out", *words, 1))
    seconds = {"fp32": 1.0, "bf16": 1.0}
    config = configured("out", *words, 2)
    train(config)
    assert checkpoint(config)["epoch"] == 2
    assert checkpoint(config)["precision"] == chosen


def test_a_step_of_each_precision_is_timed(configured, capsys):
    config = configured("out", "TRAIN.PRECISION", "auto", "SOLVER.MAX_EPOCH", 1)
    train(config)
    assert checkpoint(config)["precision"] in ("fp32", "bf16")
    said = capsys.readouterr()
    assert re.search(r"PRECISION auto is \w+: fp32 [\d,]+ ms, bf16 [\d,]+ ms", said.err + said.out)


def test_clips_that_a_network_does_not_take_are_refused_before_anything_is_written(configured):
    small = (
        "MODEL.MVIT_B.NUM_FRAMES",
        4,
        "MODEL.MVIT_B.CROP_SIZE",
        16,
        "MODEL.MVIT_B.EMBED_DIM",
        8,
    )
    config = configured("out", "MODEL.NAME", "mvit_b", *small)
    with pytest.raises(ConfigError, match=r"must be \(4, 16\) for MODEL.NAME mvit_b .* \(3, 16\)"):
        train(config)
    assert not Path(config.output_dir).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("TRAIN.BATCH_SIZE", 5, "SOLVER.ACCUMULATION_STEPS", 2), "must be a multiple of"),
        (("AUG.FLIP_LABELS", "[[red, pink]]"), "got 'pink'"),
        (("GROUPS.BY_THRESHOLDS.THRESHOLDS", "[3, 1]"), "GROUPS.BY_THRESHOLDS.THRESHOLDS"),
    ],
)
def test_options_that_do_not_fit_the_data_are_refused_first(configured, tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        train(configured("out", *words))
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_is_named(configured, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"OUTPUT_DIR must be a folder to write in, got .*file"):
        train(configured("file"))


def test_testing_needs_a_fitting_checkpoint(configured, tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*best\.pt: train first"):
        run_test(configured())
    train(configured())
    path = tmp_path / "out" / "checkpoints" / "best.pt"
    wider = configured("wider", "TEST.CHECKPOINT_FILE_PATH", path, "MODEL.RESNEXT3D.WIDTH", 16)
    with pytest.raises(CheckpointError, match=r"best\.pt"):
        run_test(wider)


def test_training_starts_from_given_weights(configured, tmp_path):
    train(configured())
    path = tmp_path / "out" / "checkpoints" / "best.pt"
    config = configured("tuned", "MODEL.PRETRAINED", path, "SOLVER.BASE_LR", 1e-12)
    train(config)
    tuned, given = checkpoint(config), read_checkpoint(path)
    torch.testing.assert_close(
        tuned["model_state"]["conv1.weight"], given["model_state"]["conv1.weight"]
    )
