"""Learning rates step by step, and which optimiser gets what."""

import math

import pytest
import torch
from transformers import TimesformerConfig, TimesformerModel

from cdb_video.engine.prepare.optim import LearningRate, make_optimizer
from cdb_video.errors import ConfigError
from cdb_video.models import build_model
from cdb_video.sections import Solver


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


def names_by(model, optimizer, key):
    """Value of ``key`` in a parameter group -> the names of the parameters that have it."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    result = {}
    for group in optimizer.param_groups:
        result.setdefault(group[key], set()).update(names[id(p)] for p in group["params"])
    return result


def test_each_stage_has_its_share_of_the_learning_rate():
    model = build_model("resnext3d", 3, width=8, cardinality=2, stage_blocks=(1, 1, 1, 1))
    optimizer = make_optimizer(model, Solver(layer_decay=0.5, zero_wd_1d_param=True))
    parts = {1: "fc.", 2: "layer4.", 4: "layer3.", 8: "layer2.", 16: "layer1."}
    parts[32] = ("conv1.", "bn1.")
    assert names_by(model, optimizer, "lr_scale") == {
        1 / divisor: {name for name, _ in model.named_parameters() if name.startswith(part)}
        for divisor, part in parts.items()
    }


def test_by_default_there_is_one_group_in_the_order_of_the_model():
    model = build_model("resnext3d", 3, width=8, cardinality=2, stage_blocks=(1, 1, 1, 1))
    (group,) = make_optimizer(model, Solver()).param_groups
    assert list(map(id, group["params"])) == list(map(id, model.parameters()))
    assert group["lr_scale"] == 1


@pytest.mark.parametrize("method", ["sgd", "adamw"])
def test_vectors_tokens_and_positions_can_be_free_of_weight_decay(method):
    config = TimesformerConfig(
        image_size=32, num_frames=2, hidden_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    with torch.device("meta"):
        model = TimesformerModel(config)
    solver = {"optimizing_method": method, "weight_decay": 0.1}
    optimizer = make_optimizer(model, Solver(**solver, zero_wd_1d_param=True))
    decayed = {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and name.endswith(".weight")
    }
    others = {name for name, _ in model.named_parameters()} - decayed
    assert {f"embeddings.{kind}_embeddings" for kind in ("position", "time")} < others
    assert names_by(model, optimizer, "weight_decay") == {0.1: decayed, 0.0: others}
    optimizer = make_optimizer(model, Solver(**solver))
    assert names_by(model, optimizer, "weight_decay") == {0.1: decayed | others}


def test_what_is_frozen_is_not_optimised_and_something_must_be_left():
    model = torch.nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert names_by(model, make_optimizer(model, Solver()), "lr") == {1e-3: {"bias"}}
    model.bias.requires_grad_(False)
    with pytest.raises(ConfigError, match=r"^the network must have parameters to train, got none"):
        make_optimizer(model, Solver())
