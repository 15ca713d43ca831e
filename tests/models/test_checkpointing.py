"""Activation checkpointing changes memory only: not gradients, statistics, randomness or names."""

import copy

import pytest
import torch
from models.small import LARGE, SMALL, marked_slow
from torch import nn

from cdb_video.models import build_model
from cdb_video.models.subject import Subject
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms
from cdb_video.registry import BACKBONES


def gradients(model, video):
    """Of the mean logit, after which torch's generator is where it is wherever it is."""
    torch.manual_seed(3)
    model(video).float().mean().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same_step(plain, video):
    """A step of ``plain`` and of its checkpointed copy; returns the copy."""
    model = copy.deepcopy(plain)
    checkpoint_stages(model)
    expected, got = (gradients(m, video) for m in (plain, model))
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, msg=lambda text, n=name: f"{n}: {text}")
    assert list(model.state_dict()) == list(plain.state_dict())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    return model


@pytest.mark.parametrize("name", marked_slow(BACKBONES.names(), set(LARGE) - {"slow_r50"}))
def test_gradients_and_statistics_are_those_without_it(name):
    torch.manual_seed(0)
    subject = Subject(name, SMALL.get(name, {}))
    plain, video = subject.model().train(), subject.clips(2)
    model = assert_same_step(plain, video)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(video), plain.eval()(video))


def test_half_precision_and_frozen_norms_are_the_same_in_the_second_pass():
    torch.manual_seed(0)
    plain = build_model("resnext3d", 5, **SMALL["resnext3d"])
    freeze_norms(plain)
    plain.set_precision("bf16")
    assert_same_step(plain.train(), torch.randn(2, 3, 8, 32, 32))


class Pathways(nn.Module):
    """Changes the list that it is given, as blocks of several pathways may."""

    def __init__(self, momentum):
        super().__init__()
        self.conv = nn.Conv3d(3, 3, 1)
        self.norm = nn.BatchNorm3d(3, momentum=momentum)
        self.dropout = nn.Dropout(0.5)

    def forward(self, pathways, *, scale):
        for index, x in enumerate(pathways):
            pathways[index] = scale * self.dropout(self.norm(self.conv(x)))
        return pathways


class TwoPathways(nn.Module):
    stages = (("blocks",),)

    def __init__(self, momentum):
        super().__init__()
        self.blocks = nn.ModuleList([Pathways(momentum), Pathways(momentum)])

    def forward(self, video):
        pathways = [video, video[:, :, ::2]]
        for block in self.blocks:
            pathways = block(pathways, scale=2.0)
        return sum(x.mean(dim=(2, 3, 4)).square() for x in pathways)


@pytest.mark.parametrize("momentum", [0.1, None], ids=["running", "cumulative"])
def test_dropout_lists_and_every_kind_of_statistics(momentum):
    torch.manual_seed(0)
    model = assert_same_step(TwoPathways(momentum).train(), torch.randn(2, 3, 4, 6, 6))
    assert model.blocks[0].norm.num_batches_tracked == 2  # once for each pathway
    assert model.blocks[0].norm.momentum == momentum


def kept_bytes(model, video):
    """Activations that autograd keeps for the backward pass, outside of checkpointed blocks."""
    kept, weights = {}, {p.data_ptr() for p in model.parameters()}

    def see(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        loss = model(video).mean()
    loss.backward()
    return sum(size for pointer, size in kept.items() if pointer not in weights)


def test_less_is_kept():
    torch.manual_seed(0)
    plain = build_model("resnext3d", 5, width=16, cardinality=4, stage_blocks=(3, 3, 3, 3)).train()
    model = copy.deepcopy(plain)
    checkpoint_stages(model)
    video = torch.randn(2, 3, 8, 32, 32)
    assert kept_bytes(model, video) < kept_bytes(plain, video) / 2
