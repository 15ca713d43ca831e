"""The CIFAR ResNets against the paper: size, cost, shapes, initial values."""

import pytest
import torch
from models.published import size_and_cost

from cdb_video.models import build_model
from cdb_video.models.backbones.resnet_cifar import ResNetCIFAR


# Millions of parameters: He et al., CVPR 2016, table 6 (10 classes).
@pytest.mark.parametrize(
    ("depth", "millions", "digits"),
    [(20, 0.27, 2), (32, 0.46, 2), (44, 0.66, 2), (56, 0.85, 2), (110, 1.7, 1)],
)
def test_size_is_the_published_one(depth, millions, digits):
    size, _ = size_and_cost("resnet_cifar", 10, 1, 32, 32, depth=depth)
    assert round(size / 1e6, digits) == millions


# Multiply-adds: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, table 1.
@pytest.mark.parametrize(("depth", "published"), [(56, 1.25e8), (110, 2.53e8)])
def test_cost_is_the_published_one(depth, published):
    _, cost = size_and_cost("resnet_cifar", 10, 1, 32, 32, depth=depth)
    assert cost == pytest.approx(published, rel=0.005)


def test_every_layer_with_weights_counts_and_shortcuts_have_none():
    model = build_model("resnet_cifar", 10, depth=20)
    layers = [m for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(layers) == 20
    assert not [name for name in model.state_dict() if "downsample" in name]


def test_stages_halve_the_frame_and_double_the_channels():
    with torch.device("meta"):
        model = ResNetCIFAR(ResNetCIFAR.Options(depth=20))
        x, shapes = model.conv1(torch.zeros(1, 3, 32, 32)), []
        for stage in (model.layer1, model.layer2, model.layer3):
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    assert model.num_features == 64


def test_initial_values_are_kaiming_normal():
    torch.manual_seed(0)
    model = ResNetCIFAR(ResNetCIFAR.Options(depth=8, width=64))
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            expected = (2 / (9 * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1)
            assert module.weight.mean().item() == pytest.approx(0, abs=0.1 * expected)


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_without_a_network_is_refused(depth):
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 2 with n >= 1, got {depth}"):
        ResNetCIFAR.Options(depth=depth)
