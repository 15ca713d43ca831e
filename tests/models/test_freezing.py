"""What is frozen stays to the bit, and what is not is trained."""

import copy

import pytest
import torch
from models.small import SMALL
from torch import nn

from cdb_video.errors import ConfigError
from cdb_video.models import build_model
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages, learning_norms
from cdb_video.models.tuning.stages import num_stages, stage_of
from cdb_video.registry import BACKBONES


def small_model(name="resnext3d"):
    torch.manual_seed(0)
    return build_model(name, 5, **SMALL.get(name, {}))


def take_a_step(model):
    """One step of SGD on random clips, as training takes it."""
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    video = torch.randn(4, 3, 8, 32, 32, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(model(video), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()


def changed_by_a_step(model):
    before = copy.deepcopy(model.state_dict())
    take_a_step(model)
    return {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}


STAGES = (("conv1.", "bn1."), ("layer1.",), ("layer2.",), ("layer3.",), ("layer4.",))


@pytest.mark.parametrize("count", [0, 1, 3, 5, "all"])
def test_the_first_stages_stay_as_they_are_and_the_rest_is_trained(count):
    model = small_model()
    frozen = tuple(part for stage in STAGES[: 5 if count == "all" else count] for part in stage)
    freeze_stages(model, count)
    expected = {name for name in model.state_dict() if not name.startswith(frozen)}
    assert changed_by_a_step(model) == expected
    assert [n for n, p in model.named_parameters() if p.requires_grad == n.startswith(frozen)] == []


def test_frozen_batch_norm_keeps_its_numbers_and_all_else_is_trained():
    model = small_model()
    norms = {name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm3d)}
    freeze_norms(model)
    learnt = {name for name in model.state_dict() if name.rpartition(".")[0] not in norms}
    assert changed_by_a_step(model) == learnt
    assert learning_norms(model) == []


def test_freezing_lasts_in_copies_and_keeps_the_names():
    model = small_model()
    names = list(model.state_dict())
    freeze_stages(model, 2)
    freeze_norms(model)
    freeze_norms(model)
    twin = copy.deepcopy(model)
    assert list(twin.state_dict()) == names
    assert not any("bn" in name for name in changed_by_a_step(twin))
    model.load_state_dict(twin.state_dict())


def test_norms_that_are_not_frozen_are_found():
    model = small_model()
    freeze_stages(model, 4)
    model.add_module("without", nn.BatchNorm3d(3, track_running_stats=False))
    assert learning_norms(model) == [
        m for m in model.layer4.modules() if isinstance(m, nn.BatchNorm3d)
    ]


@pytest.mark.parametrize("name", BACKBONES.names())
def test_every_backbone_trains_its_classifier_alone(name):
    model = small_model(name)
    freeze_stages(model, "all")
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
    assert learning_norms(model) == []


def test_a_network_that_states_no_stages_is_one():
    model = nn.Sequential()
    model.conv, model.norm, model.fc = nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Linear(4, 2)
    assert num_stages(model) == 1
    assert [stage_of(model, name) for name in ("conv.weight", "norm", "fc", "fc.bias")] == [
        *(0, 0, 1, 1)
    ]
    freeze_stages(model, 1)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
    assert not model.train().norm.training
    with pytest.raises(ConfigError, match=r"in \[0, 1\], as the backbone has 1 stage, got 2"):
        freeze_stages(model, 2)


def test_more_stages_than_there_are_is_one_line():
    message = r"^MODEL.FREEZE_STAGES must be 'all' or in \[0, 5\], .* has 5 stages, got 6$"
    with pytest.raises(ConfigError, match=message):
        freeze_stages(small_model(), 6)
