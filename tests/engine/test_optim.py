"""Learning rates step by step, and which optimiser gets what."""

import math

import pytest
import torch

from cdb_video.engine.optim import LearningRate, make_optimizer
from cdb_video.solver import Solver


def rates(steps_per_epoch=10, **options):
    rate = LearningRate(Solver(**options), steps_per_epoch)
    return [rate(step) for step in range(rate.num_steps)]


def test_steps_begin_at_their_epoch():
    got = rates(base_lr=0.1, max_epoch=5, steps=(0.0, 2.0, 4.0), lrs=(1.0, 0.1, 0.01))
    assert got == pytest.approx([0.1] * 20 + [0.01] * 20 + [0.001] * 10)


def test_steps_after_the_last_epoch_have_no_effect():
    assert rates(base_lr=0.1, max_epoch=3, steps=(0.0, 60.0)) == pytest.approx([0.1] * 30)


def test_cosine_is_half_a_cosine():
    got = rates(lr_policy="cosine", base_lr=0.2, cosine_end_lr=0.02, max_epoch=4)
    for step, rate in enumerate(got):
        expected = 0.02 + 0.18 * (1 + math.cos(math.pi * step / 40)) / 2
        assert rate == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("policy", ["cosine", "steps_with_relative_lrs"])
def test_warmup_rises_in_a_line_and_then_joins_the_schedule(policy):
    common = {"lr_policy": policy, "base_lr": 0.1, "max_epoch": 10, "steps": (0.0, 6.0)}
    plain = rates(**common)
    warm = rates(**common, warmup_epochs=2, warmup_start_lr=0.01)
    top = plain[20]
    for step in range(20):
        assert warm[step] == pytest.approx(0.01 + (top - 0.01) * step / 20, rel=1e-6)
    assert warm[20:] == pytest.approx(plain[20:], rel=1e-6)


def test_optimisers_get_their_options():
    model = torch.nn.Linear(2, 2)
    sgd = make_optimizer(model, Solver(base_lr=0.3, momentum=0.9, nesterov=True, weight_decay=0.1))
    assert isinstance(sgd, torch.optim.SGD)
    group = sgd.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.3, 0.9, True)
    assert group["weight_decay"] == 0.1
    adamw = make_optimizer(model, Solver(optimizing_method="adamw", weight_decay=0.05))
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.param_groups[0]["weight_decay"] == 0.05
