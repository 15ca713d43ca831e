"""Class weights as training uses them: every loss, deferral, and recall measured in training."""

import csv
import math
import subprocess
import sys

import pytest
import torch

from cdb_video.data.batches.batch import Batch
from cdb_video.engine.train.loop import train
from cdb_video.engine.train.plan import Step
from cdb_video.engine.train.run import prepare
from cdb_video.engine.train.seen import Seen
from cdb_video.models import read_checkpoint
from cdb_video.outputs import Outputs
from cdb_video.registry import LOSSES


def difficulty(config):
    """Epoch -> its rows of difficulty.csv."""
    with open(f"{config.output_dir}/difficulty.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {epoch: [r for r in rows if int(r["epoch"]) == epoch] for epoch in range(1, 5)}


def weights(config):
    return {epoch: [float(r["weight"]) for r in rows] for epoch, rows in difficulty(config).items()}


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_trains_and_writes_its_difficulties(configured, name):
    config = configured("out", "LOSS.NAME", name, "SOLVER.MAX_EPOCH", 2)
    train(config)
    for epoch in (1, 2):
        rows = difficulty(config)[epoch]
        assert len(rows) == 3
        assert sum(float(r["weight"]) for r in rows) == pytest.approx(3, abs=1e-5)
        for row in rows:
            assert 0 <= float(row["difficulty"]) <= 1
            assert float(row["recall"]) == pytest.approx(1 - float(row["difficulty"]), abs=1e-5)


def test_deferred_weights_begin_after_their_epochs(configured):
    words = ("LOSS.NAME", "class_balanced", "LOSS.CLASS_BALANCED.BETA", 0.9)
    plain, deferred = (
        configured("plain", *words),
        configured("deferred", *words, "LOSS.DEFER_EPOCHS", 2),
    )
    for config in (plain, deferred):
        train(config)
    numbers = [1 / (1 - 0.9**n) for n in (6, 3, 2)]
    expected = [3 * w / sum(numbers) for w in numbers]
    assert weights(plain) == {epoch: pytest.approx(expected, abs=1e-5) for epoch in (1, 2, 3, 4)}
    # The rows of an epoch show what the next one trains with.
    assert weights(deferred)[1] == [1, 1, 1]
    for epoch in (2, 3, 4):
        assert weights(deferred)[epoch] == pytest.approx(expected, abs=1e-5)


def test_deferred_epochs_train_as_cross_entropy_does(configured):
    states = []
    for name in ("class_balanced", "cross_entropy"):
        config = configured(name, "LOSS.NAME", name, "LOSS.DEFER_EPOCHS", 2, "SOLVER.MAX_EPOCH", 2)
        train(config)
        states.append(read_checkpoint(f"{config.output_dir}/checkpoints/latest.pt"))
    for key, value in states[0]["model_state"].items():
        assert torch.equal(value, states[1]["model_state"][key]), key


@pytest.mark.parametrize(
    "words",
    [
        ("LOSS.NAME", "class_balanced", "LOSS.DEFER_EPOCHS", 3),
        ("LOSS.NAME", "equalization", "LOSS.EQUALIZATION.THRESHOLD", 0.5),
        ("LOSS.CDB_CE.SOURCE", "train", "LOSS.DEFER_EPOCHS", 1, "TRAIN.EVAL_PERIOD", 3),
        ("LOSS.NAME", "cdb_logit", "LOSS.CDB_LOGIT.TOLERANCE", 0, "LOSS.CDB_LOGIT.ETA", 2),
    ],
    ids=["deferred", "random gate", "training recall", "margins"],
)
def test_a_resumed_run_ends_bit_equal(configured, words):
    whole, cut = configured("whole", *words), configured("cut", *words, "SOLVER.MAX_EPOCH", 2)
    train(whole)
    train(cut)
    cut = configured("cut", *words)
    train(cut)
    one, other = (
        read_checkpoint(f"{config.output_dir}/checkpoints/latest.pt") for config in (whole, cut)
    )
    for part in ("model_state", "loss_state"):
        assert one[part].keys() == other[part].keys()
        for key, value in one[part].items():
            assert torch.equal(value, other[part][key]), key


def test_difficulty_can_come_from_the_training_clips(configured):
    config = configured("out", "LOSS.CDB_CE.SOURCE", "train", "TRAIN.EVAL_PERIOD", 4)
    train(config)
    # 6, 3 and 2 training clips a class: the difficulties are such fractions, epoch by epoch.
    for row, count in zip(difficulty(config)[4], (6, 3, 2), strict=True):
        missed = float(row["difficulty"]) * count
        assert missed == pytest.approx(round(missed), abs=1e-4)
    state = read_checkpoint(f"{config.output_dir}/checkpoints/latest.pt")["loss_state"]
    observed = [value for key, value in state.items() if key.endswith("num_observed")]
    assert [int(value) for value in observed] == [4]


def test_training_recall_counts_each_clip_once_however_batches_are_split(configured):
    run = prepare(configured("out"), torch.device("cpu"))
    window = list(run.plan.train_loader.batches(1))
    run.learner.gradient(window, Step(1, 0, 0, True))
    run.learner.seen.end_step()
    loss, (classes, outputs) = run.learner.seen.take()
    recall, counts = classes
    assert outputs == [classes]
    assert loss > 0
    assert counts.tolist() == [6, 3, 2]
    assert ((recall >= 0) & (recall <= 1)).all()
    run.learner.gradient(window[:1], Step(1, 1, 1, True))
    run.learner.seen.end_step()
    assert sum(run.learner.seen.take()[1].classes.counts.tolist()) == 4


def add(seen, step, logits, labels, loss):
    labels = torch.tensor(labels)
    seen.add(
        step,
        Batch(torch.empty(0), labels, labels),
        logits,
        torch.tensor(loss),
        torch.ones_like(labels, dtype=torch.bool),
    )
    seen.end_step()


def test_what_was_seen_by_hand():
    seen = Seen(Outputs.unnamed(4), torch.device("cpu"))
    logits = torch.tensor([[3.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1.0]])
    add(seen, 0, logits, [0, 1, 0, 3], 2.0)
    add(seen, 1, logits[:2], [1, 1], 5.0)
    look = seen.look()
    assert look[:4] == (pytest.approx(3.0), False, False, False)
    assert [(step, loss) for step, _, loss in look.losses] == [(0, 2.0), (1, 5.0)]
    loss, ((recall, counts), _) = seen.take()
    assert loss == pytest.approx(3.0)
    assert counts.tolist() == [2, 3, 0, 1]
    assert recall.tolist() == pytest.approx([1 / 2, 2 / 3, 0, 1])
    assert not math.isnan(recall.sum())


def test_a_step_that_is_left_out_was_not_seen():
    seen = Seen(Outputs.unnamed(2), torch.device("cpu"))
    add(seen, 0, torch.eye(2), [0, 1], 1.0)
    label = torch.tensor([0, 0])
    for _ in range(2):
        seen.add(
            1,
            Batch(label, label, label),
            torch.eye(2),
            torch.tensor(float("nan")),
            torch.ones(2, dtype=torch.bool),
        )
    seen.drop_step()
    assert seen.num_skipped == 1
    assert seen.look().mean_loss == 1
    loss, ((recall, counts), _) = seen.take()
    assert (loss, recall.tolist(), counts.tolist()) == (1, [1, 1], [1, 1])
    assert seen.num_skipped == 0


def test_what_was_seen_survives_a_checkpoint():
    two, cpu = Outputs.unnamed(2), torch.device("cpu")
    seen, other = Seen(two, cpu), Seen(two, cpu)
    add(seen, 0, torch.eye(2), [0, 0], 0.1)
    other.load_state_dict(seen.state_dict())
    several = Seen(two, cpu)
    several.load_sum([seen.state_dict()] * 2)
    assert [x.take()[1].classes.counts.tolist() for x in (seen, other, several)] == [
        [2, 0],
        [2, 0],
        [4, 0],
    ]


TWO_PROCESSES = """
import torch
from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.engine.train.seen import Seen

with distributed.process_group(torch.device("cpu")):
    seen = Seen(3, torch.device("cpu"))
    right, wrong = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 1.0, 0]])
    label = torch.tensor([0])
    for logits in [right] if distributed.is_main() else [wrong, wrong, right]:
        loss = torch.tensor(float(logits[0, 1]))
        seen.add(0, Batch(label, label, label), logits, loss, torch.tensor([True]))
        seen.end_step()
    save = seen.look(lambda *_: "", save=distributed.is_main()).save
    loss, recall, counts = seen.take()
    with open(f"rank_{distributed.rank()}", "w") as file:
        file.write(f"{save} {loss} {recall.tolist()} {counts.tolist()}")
"""


@pytest.mark.slow
def test_what_was_seen_is_that_of_all_processes(tmp_path):
    (tmp_path / "two.py").write_text(TWO_PROCESSES)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    subprocess.run([sys.executable, *launcher, "two.py"], cwd=tmp_path, check=True, timeout=120)
    for rank in (0, 1):
        assert (tmp_path / f"rank_{rank}").read_text() == "True 0.5 [0.5, 0.0, 0.0] [4, 0, 0]"


def test_difficulty_csv_shows_what_the_sampler_goes_by(configured):
    config = configured("out", "LOSS.NAME", "cross_entropy", "SAMPLER.NAME", "cdb_s")
    train(config)
    state = read_checkpoint(f"{config.output_dir}/checkpoints/latest.pt")["sampler_state"]
    rows = difficulty(config)[4]
    tau = float(rows[0]["tau"])
    assert tau > 0
    shown = [float(row["difficulty"]) for row in rows]
    assert shown == pytest.approx(state["difficulty"].tolist(), abs=1e-5)
    total = sum(value**tau for value in shown)
    expected = [3 * value**tau / total for value in shown] if total else [1, 1, 1]
    assert weights(config)[4] == pytest.approx(expected, abs=1e-4)
