"""Fine-tuning in whole runs: what is frozen stays, rates by stage, averages, precise statistics."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from cdb_video import options
from cdb_video.engine.evaluate.scores import evaluate
from cdb_video.engine.train.average import WeightAverage
from cdb_video.engine.train.loop import train
from cdb_video.engine.train.run import prepare
from cdb_video.engine.train.statistics import precise_statistics
from cdb_video.errors import ConfigError
from cdb_video.models import read_checkpoint

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
DROPOUT = ("MODEL.DROPOUT_RATE", 0.3)
ALL = (
    *("MODEL.FREEZE_STAGES", 2, "MODEL.ACT_CHECKPOINT", "true", *DROPOUT),
    *("SOLVER.LAYER_DECAY", 0.5, "SOLVER.ZERO_WD_1D_PARAM", "true"),
    *("TRAIN.EMA_DECAY", 0.5, "SOLVER.ACCUMULATION_STEPS", 2, "TRAIN.EVAL_PERIOD", 2),
)


def latest(config):
    return f"{config.output_dir}/checkpoints/latest.pt"


def checkpoint(config):
    return read_checkpoint(latest(config))


def validation_losses(folder):
    with open(f"{folder}/log.jsonl") as file:
        return [record["loss"] for record in map(json.loads, file) if record["kind"] == "val"]


def assert_same(one, other):
    """Bit equality of nested dicts of tensors."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[name])
        else:
            assert torch.equal(value, other[name]), name


@pytest.fixture
def steps():
    """What is appended here is called with the optimiser after each of its steps."""
    calls = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: [c(optimizer) for c in calls])
    yield calls
    hook.remove()


def test_frozen_stages_leave_a_run_as_they_came(configured):
    config = configured("out", "MODEL.FREEZE_STAGES", 3, "SOLVER.WEIGHT_DECAY", 0.1)
    before = copy.deepcopy(prepare(config, CPU).learner.model.state_dict())
    train(config)
    after = checkpoint(config)["model_state"]
    frozen = ("conv1.", "bn1.", "layer1.", "layer2.")
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith(frozen), name


def test_frozen_statistics_and_affine_parameters_leave_a_run_as_they_came(configured):
    config = configured("out", "MODEL.FROZEN_BN", "true", "BN.USE_PRECISE_STATS", "true")
    model = prepare(config, CPU).learner.model
    before = copy.deepcopy(model.state_dict())
    norms = {name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm3d)}
    train(config)
    for name, value in checkpoint(config)["model_state"].items():
        assert torch.equal(value, before[name]) == (name.rpartition(".")[0] in norms), name


def test_too_many_stages_are_refused_before_anything_is_written(configured, tmp_path):
    with pytest.raises(ConfigError, match="has 5 stages, got 6"):
        train(configured("out", "MODEL.FREEZE_STAGES", 6))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "rates"),
    [
        ((), [0.02] * 9 + [0.002] * 3),
        (
            ("SOLVER.WARMUP_EPOCHS", 1, "SOLVER.WARMUP_START_LR", 0.005),
            [0.005, 0.01, 0.015] + [0.02] * 6 + [0.002] * 3,
        ),
    ],
    ids=["steps", "warm-up"],
)
def test_rates_of_stages_follow_the_schedule(configured, steps, words, rates):
    seen = []
    steps.append(lambda optimizer: seen.append({g["lr"] for g in optimizer.param_groups}))
    config = configured("out", "SOLVER.LAYER_DECAY", 0.5, "MODEL.FREEZE_STAGES", 3, *words)
    train(config)
    # 11 clips in batches of 4 are 3 steps an epoch; fc, layer4 and layer3 are trained.
    expected = [[rate / 4, rate / 2, rate] for rate in rates]
    assert [sorted(lrs) for lrs in seen] == [pytest.approx(lrs) for lrs in expected]


def test_the_average_is_that_of_a_loop_by_hand(configured, monkeypatch):
    config = configured("out", "TRAIN.EMA_DECAY", 0.75)
    module, after_steps = sys.modules["cdb_video.engine.train.average"], []
    update = module.WeightAverage.update

    def recorded(average):
        update(average)
        after_steps.append(copy.deepcopy(average._trained.state_dict()))

    monkeypatch.setattr(module.WeightAverage, "update", recorded)
    train(config)
    assert len(after_steps) == 12
    content = checkpoint(config)
    for name, value in content["model_state"].items():
        expected = after_steps[0][name].double()
        for state in after_steps[1:]:
            expected = 0.75 * expected + 0.25 * state[name].double()
        if not value.is_floating_point():
            expected = after_steps[-1][name]
        torch.testing.assert_close(value, expected.to(value.dtype), msg=name)
    assert_same(content["average_state"]["trained"], after_steps[-1])


def test_an_average_changes_what_is_tested_not_what_is_trained(configured):
    plain, averaged = (
        configured(name, "LOSS.NAME", "cross_entropy", "TRAIN.EMA_DECAY", decay)
        for name, decay in (("plain", 0), ("averaged", 0.9))
    )
    for config in (plain, averaged):
        train(config)
    one, other = checkpoint(plain), checkpoint(averaged)
    assert_same(other["average_state"]["trained"], one["model_state"])
    assert one["average_state"] == {}
    assert not torch.equal(one["model_state"]["fc.weight"], other["model_state"]["fc.weight"])
    # What the run printed of its last validation is what the weights in the checkpoint give.
    run = prepare(configured("again", "MODEL.PRETRAINED", latest(averaged)), CPU)
    labels = run.plan.task.splits.labels("val")
    again = evaluate(run.learner.model, run.plan.val_loader, labels)
    assert again.loss == pytest.approx(validation_losses(averaged.output_dir)[-1], rel=1e-6)


def test_constant_integers_in_buffers_stay():
    model = nn.BatchNorm1d(1)
    model.register_buffer("positions", torch.arange(50))
    average = WeightAverage(model, 0.9)
    for _ in range(3):
        model(torch.randn(4, 1))
        average.update()
    assert torch.equal(average.model.positions, torch.arange(50))
    assert average.model.num_batches_tracked == 3


def activations_of_norms(model, clips):
    """Name of a batch norm -> (C, values) of what goes into it over all ``clips``."""
    seen = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda _, inputs, n=name: seen.setdefault(n, []).append(inputs[0].transpose(0, 1))
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm3d)
    ]
    with torch.no_grad():
        for clip in clips:
            model(clip)
    for hook in hooks:
        hook.remove()
    return {n: torch.cat([x.flatten(1) for x in xs], dim=1).double() for n, xs in seen.items()}


def test_precise_statistics_are_those_of_the_batches(configured):
    config = configured("out", "BN.NUM_BATCHES_PRECISE", 2, *DROPOUT)
    run = prepare(config, CPU)
    model = run.learner.model
    batches = list(run.plan.train_loader.batches(3))
    twin = copy.deepcopy(model)
    precise_statistics(model, run.plan.train_loader, 3, 2)
    clips = [batch.video for batch in batches[:2]]
    expected = activations_of_norms(twin.train(), clips)
    assert len(batches) > 2
    assert len(expected) == 17
    for name, values in expected.items():
        norm = model.get_submodule(name)
        assert norm.momentum == 0.1
        for got, value in zip(
            (norm.running_mean, norm.running_var),
            (values.mean(1), values.var(1, correction=0)),
            strict=True,
        ):
            torch.testing.assert_close(got, value.float(), rtol=1e-3, atol=1e-5, msg=name)
    # The order of training goes on as if nothing had been drawn.
    for batch, again in zip(batches, run.plan.train_loader.batches(3), strict=True):
        assert torch.equal(batch.video, again.video)


@pytest.mark.parametrize("workers", [0, 2])
def test_precise_statistics_do_not_change_how_a_run_trains(configured, workers):
    words = ("LOSS.NAME", "cross_entropy", "DATA_LOADER.NUM_WORKERS", workers, *DROPOUT)
    plain = configured("plain", *words)
    precise = configured(
        "precise", *words, "BN.USE_PRECISE_STATS", "true", "BN.NUM_BATCHES_PRECISE", 1
    )
    for config in (plain, precise):
        train(config)
    one, other = (checkpoint(config)["model_state"] for config in (plain, precise))
    for name, value in one.items():
        is_statistic = "running" in name or "num_batches" in name
        assert torch.equal(value, other[name]) != is_statistic, name


def test_a_network_without_batch_norm_needs_no_precise_statistics(configured, monkeypatch):
    run = prepare(configured("out", "MODEL.FROZEN_BN", "true"), CPU)

    def batches(epoch):
        raise AssertionError("drawn")
        yield

    monkeypatch.setattr(run.plan.train_loader, "batches", batches)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    for network in (model, run.learner.model):
        before = copy.deepcopy(network.state_dict())
        precise_statistics(network, run.plan.train_loader, 1, 200)
        assert_same(network.state_dict(), before)


MERGE = """
import torch
from cdb_video import distributed
from cdb_video.engine.train.statistics import merge_statistics
with distributed.process_group(torch.device("cpu")):
    data = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0)) + torch.arange(3)
    norm, own = torch.nn.BatchNorm1d(3), data[distributed.rank()] * (1 + distributed.rank())
    everything = torch.cat([data[0], 2 * data[1]])
    norm.running_mean.copy_(own.mean(0))
    norm.running_var.copy_(own.var(0, correction=0))
    merge_statistics(norm)
    torch.testing.assert_close(norm.running_mean, everything.mean(0))
    torch.testing.assert_close(norm.running_var, everything.var(0, correction=0))
    print("equal")
"""


def on_two_processes(*words):
    """What a Python program prints under torchrun, which must end well."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    result = subprocess.run(
        [sys.executable, *launcher, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_merged_statistics_are_those_of_the_data_of_all_processes(tmp_path):
    (tmp_path / "merge.py").write_text(MERGE)
    assert on_two_processes(tmp_path / "merge.py").count("equal") == 2


def cut_short(whole, cut, epoch):
    """Makes ``cut`` the run ``whole`` as it was after ``epoch``."""
    shutil.copytree(f"{whole}/checkpoints", f"{cut}/checkpoints")
    shutil.copy(f"{cut}/checkpoints/epoch_000{epoch}.pt", f"{cut}/checkpoints/latest.pt")


@pytest.mark.parametrize("epoch", [1, 2])
def test_all_together_resume_bit_equal(configured, epoch):
    words = (*ALL, "BN.USE_PRECISE_STATS", "true", "BN.NUM_BATCHES_PRECISE", 2)
    whole, cut = configured("whole", *words), configured("cut", *words)
    train(whole)
    cut_short(whole.output_dir, cut.output_dir, epoch)
    assert checkpoint(cut)["epoch"] == epoch
    train(cut)
    one, other = checkpoint(whole), checkpoint(cut)
    for part in ("model_state", "average_state", "loss_state"):
        assert_same(one[part], other[part])


@pytest.mark.slow
def test_all_together_on_two_processes(tiny_yaml, tmp_path):
    """Frozen tensors stay, equal runs are equal, and a resumed one ends as the whole one."""
    words = (*ALL, "TRAIN.BATCH_SIZE", 8, "SOLVER.MAX_EPOCH", 3)

    def run(folder):
        command = (ROOT / "tools" / "train_net.py", "--cfg", tiny_yaml, *words)
        on_two_processes(*command, "OUTPUT_DIR", tmp_path / folder)
        return read_checkpoint(tmp_path / folder / "checkpoints" / "latest.pt")

    whole = run("whole")
    cut_short(tmp_path / "whole", tmp_path / "cut", 1)
    cut = run("cut")
    assert whole["epoch"] == cut["epoch"] == 3
    for part in ("model_state", "average_state", "loss_state"):
        assert_same(whole[part], cut[part])
    # The scores of both processes are in the validation loss, the checkpoint is of one.
    assert validation_losses(tmp_path / "cut") == validation_losses(tmp_path / "whole")
    fresh = prepare(options.load(tiny_yaml), CPU).learner.model.state_dict()
    for name, value in whole["model_state"].items():
        frozen = name.startswith(("conv1.", "bn1.", "layer1."))
        assert torch.equal(value, fresh[name]) == frozen, name


def test_checkpointing_may_be_switched_on_for_a_resumption(configured):
    train(configured("out", "SOLVER.MAX_EPOCH", 1))
    train(configured("out", "SOLVER.MAX_EPOCH", 2, "MODEL.ACT_CHECKPOINT", "true"))
    assert checkpoint(configured())["epoch"] == 2
