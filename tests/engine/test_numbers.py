"""Numbers that go wrong: losses that are not finite or explode, half precision, batches again."""

import io

import pytest
import torch
from rich.console import Console

from cdb_video import options
from cdb_video.commands import run as run_command
from cdb_video.doctor.replay import replay
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.finite import FiniteCheck
from cdb_video.engine.train.loop import fit, train
from cdb_video.engine.train.plan import Step
from cdb_video.engine.train.run import prepare
from cdb_video.engine.train.seen import Look
from cdb_video.errors import CheckpointError, ConfigError, TrainingError
from cdb_video.models import read_checkpoint
from cdb_video.output.run_folder import RunFolder
from cdb_video.sections import Train

CPU = torch.device("cpu")
SMALL = ("TRAIN.BATCH_SIZE", 2, "LOSS.NAME", "cross_entropy")


def breaking(run, calls, factor=float("nan")):
    """Lets the loss of some calls of ``run`` be multiplied; returns the run."""
    count = iter(range(1, 10_000))

    (loss,) = run.learner.losses

    class Breaks(type(loss)):
        def compute(self, logits, target, weights):
            loss = super().compute(logits, target, weights)
            return loss * factor if next(count) in calls else loss

    loss.__class__ = Breaks
    return run


def test_the_step_is_saved_with_the_weights_before_it_and_runs_again(configured, capsys):
    config = configured("out", *SMALL)
    run = breaking(prepare(config, CPU), {3})
    with pytest.raises(
        TrainingError, match=r"epoch 1, step 3: .*replay-batch .*bad_batch\.pt runs"
    ):
        fit(run)
    path = RunFolder(config.output_dir).bad_batch(0)
    content = read_checkpoint(path)
    assert all(tensor.isfinite().all() for tensor in content["model_state"].values())
    assert len(content["paths"]) == len(content["batches"][0][1]) == 2
    capsys.readouterr()
    # Here the loss alone was broken: the network is sound.
    assert run_command("replay-batch", [str(path)]) == 0
    said = capsys.readouterr().out
    assert "epoch 1, step 3" in said
    assert all(clip in said for clip in content["paths"])
    assert "first output that is not finite: none" in said
    content["model_state"]["layer2.0.bn1.weight"][0] = float("inf")
    broken = path.with_name("broken.pt")  # not in its place: what was read is mapped
    torch.save(content, broken)
    assert run_command("replay-batch", [str(broken)]) == 1
    said = capsys.readouterr().out
    assert "first output that is not finite: layer2.0.bn1" in said
    assert "first gradient that is not finite: " in said


def test_a_step_of_a_later_epoch_draws_again_what_it_drew(configured):
    config = configured("out", *SMALL, "TRAIN.EVAL_PERIOD", 0, "LOG_PERIOD", 1)
    seeds = []
    run = breaking(prepare(config, CPU), {8})
    run.learner.model.register_forward_pre_hook(lambda *_: seeds.append(torch.initial_seed()))
    with pytest.raises(TrainingError, match=r"epoch 2, step 3: "):  # of 5 steps an epoch
        fit(run)
    replayed = replay(RunFolder(config.output_dir).bad_batch(0))
    assert (replayed.epoch, replayed.step) == (2, 3)
    assert len(set(seeds)) == len(seeds) == 8
    assert torch.initial_seed() == seeds[-1]


def test_another_file_is_no_bad_batch(configured, tmp_path):
    config = configured("out", "SOLVER.MAX_EPOCH", 2, "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]")
    train(config)
    with pytest.raises(CheckpointError, match="must be the bad batch of a run"):
        replay(RunFolder(config.output_dir).latest)


def test_a_step_may_be_skipped_and_leaves_no_trace(configured, capsys):
    config = configured(
        "out",
        *SMALL,
        "TRAIN.ON_NAN",
        "skip",
        "SOLVER.MAX_EPOCH",
        2,
        "SOLVER.STEPS",
        "[0]",
        "SOLVER.LRS",
        "[1]",
    )
    run = breaking(prepare(config, CPU), {2})
    weights = {}
    original = type(run.learner.average).update

    def update(average):
        original(average)
        weights[len(weights)] = [p.clone() for p in run.learner.model.parameters()]

    run.learner.average.update = lambda: update(run.learner.average)
    fit(run)
    assert "epoch 1, step 2: the loss is not finite" in capsys.readouterr().err
    assert len(weights) == 9
    records, _ = RunFolder(config.output_dir).records()
    [first, _] = [r["loss"] for r in records if r["kind"] == "train_epoch"]
    assert first > 0
    assert run_test(config)["num_samples"] == 7


def test_too_many_skipped_steps_end_the_run(configured):
    words = ("TRAIN.ON_NAN", "skip", "TRAIN.MAX_SKIPPED", 2)
    run = breaking(prepare(configured("out", *SMALL, *words), CPU), {1, 3, 4})
    with pytest.raises(TrainingError, match=r"epoch 1, step 4: .*than TRAIN\.MAX_SKIPPED are"):
        fit(run)


def test_a_loss_that_explodes_is_told_with_its_clips(configured, capsys):
    config = configured("out", *SMALL, "SOLVER.BASE_LR", 1e-6, "SOLVER.MAX_EPOCH", 5)
    fit(breaking(prepare(config, CPU), {22}, factor=1000.0))
    said = capsys.readouterr().err
    assert said.count("more than 10 times its median") == 1
    assert "warning: step 22: the loss is" in said


@pytest.mark.parametrize(("loss", "told"), [(0.02, 0), (0.5, 0), (0.8, 1), (8.0, 1)])
def test_a_loss_that_is_small_has_not_exploded_whatever_the_median(loss, told):
    said = io.StringIO()
    check = FiniteCheck(Train(), [], None, Console(file=said))
    for number, value in enumerate([0.0] * 60 + [loss]):
        found = [(number, torch.tensor([number, 7]), value)]
        look = Look(value, False, False, False, found)
        check.losses(look, None, [], Step(1, number, number, False))
    assert said.getvalue().count("more than 10 times its median 0") == told


def test_half_precision_has_a_scaler_that_goes_on_where_it_was(configured):
    half = (*SMALL, "TRAIN.PRECISION", "fp16", "SOLVER.CLIP_GRAD_L2NORM", 5)
    whole = configured("whole", *half)
    train(whole)
    for epochs in (2, 4):
        train(configured("parts", *half, "SOLVER.MAX_EPOCH", epochs))
    ends = [
        read_checkpoint(RunFolder(config.output_dir).latest)
        for config in (whole, configured("parts", *half))
    ]
    assert ends[0]["scaler_state"] == ends[1]["scaler_state"]
    assert ends[0]["scaler_state"]["_growth_tracker"] > 0
    for name, value in ends[0]["model_state"].items():
        assert torch.equal(value, ends[1]["model_state"][name])
    assert run_test(whole)["top1"] > 0.3


def test_the_old_word_for_bfloat16_still_holds(configured, tiny_yaml):
    assert configured("out", "TRAIN.MIXED_PRECISION", "true").train.precision == "bf16"
    with pytest.raises(
        ConfigError,
        match=r"TRAIN.MIXED_PRECISION is TRAIN.PRECISION bf16, got TRAIN.PRECISION fp16",
    ):
        configured("out", "TRAIN.MIXED_PRECISION", "true", "TRAIN.PRECISION", "fp16")
    path = tiny_yaml.with_name("switched.yaml")
    # The last word on the switch counts, of a file or of the command line.
    path.write_text(f"_BASE_: {tiny_yaml}\nTRAIN: {{MIXED_PRECISION: true}}\n")
    off, on = (options.load(path, ["TRAIN.MIXED_PRECISION", word]) for word in ("false", "true"))
    assert (off.train.precision, on.train.precision) == ("fp32", "bf16")
    path.write_text(f"_BASE_: {tiny_yaml}\nTRAIN: {{PRECISION: fp32}}\n")
    assert options.load(path, ["TRAIN.MIXED_PRECISION", "true"]).train.precision == "bf16"
    plain = configured("out", "TRAIN.MIXED_PRECISION", "false", "TRAIN.PRECISION", "fp16")
    assert plain.train.precision == "fp16"
    with pytest.raises(ConfigError, match=r"TRAIN\.MIXED_PRECISION must be .*, got 'perhaps'"):
        configured("out", "TRAIN.MIXED_PRECISION", "perhaps")
