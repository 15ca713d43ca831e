"""Residual blocks against their formulas, in 2D and 3D; their stages; drop path within them."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from cdb_video.models import build_model
from cdb_video.models.layers.drop_path import DropPath
from cdb_video.models.layers.residual import BasicBlock, Bottleneck, SubsampleShortcut

CLIP = {2: (6, 7), 3: (5, 6, 7)}
CONVOLVE = {2: functional.conv2d, 3: functional.conv3d}
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def randomise_norms(block):
    for module in block.modules():
        if isinstance(module, NORMS):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)


def norm(y, bn):
    column = (1, -1, *[1] * (y.ndim - 2))
    y = (y - bn.running_mean.view(column)) / (bn.running_var.view(column) + bn.eps).sqrt()
    return y * bn.weight.view(column) + bn.bias.view(column)


def every(x, stride):
    """Every ``stride``-th position along all axes but the first two."""
    for axis in range(2, x.ndim):
        x = x.index_select(axis, torch.arange(0, x.shape[axis], stride))
    return x


def pointwise(x, conv):
    return torch.einsum("oi,bi...->bo...", conv.weight.flatten(1), x)


def shortcut_of(block, x, shortcut, stride, extra):
    kept = every(x, stride)
    if shortcut == "A":
        return torch.cat([kept, torch.zeros(len(x), extra, *kept.shape[2:])], dim=1)
    return norm(pointwise(kept, block.downsample[0]), block.downsample[1])


in_each_form = pytest.mark.parametrize(
    ("dims", "shortcut", "stride"), [*itertools.product((2, 3), ("A", "B"), (1, 2))]
)


@in_each_form
def test_basic_block_is_its_formula(dims, shortcut, stride):
    torch.manual_seed(0)
    block = BasicBlock(8, 6, 12, dims=dims, shortcut=shortcut, stride=stride).double().eval()
    randomise_norms(block)
    x = torch.randn(2, 8, *CLIP[dims], dtype=torch.float64)
    y = every(CONVOLVE[dims](x, block.conv1.weight, padding=1), stride)
    y = norm(y, block.bn1).clamp(min=0)
    y = norm(CONVOLVE[dims](y, block.conv2.weight, padding=1), block.bn2)
    side = shortcut_of(block, x, shortcut, stride, extra=4)
    torch.testing.assert_close(block(x), (y + side).clamp(min=0))


@in_each_form
def test_bottleneck_is_its_formula(dims, shortcut, stride):
    torch.manual_seed(0)
    block = Bottleneck(8, 6, 12, dims=dims, shortcut=shortcut, cardinality=3, stride=stride)
    randomise_norms(block.double().eval())
    x = torch.randn(2, 8, *CLIP[dims], dtype=torch.float64)

    def grouped(y):
        """Each third of the channels is convolved by itself."""
        parts = zip(y.chunk(3, dim=1), block.conv2.weight.chunk(3), strict=True)
        return every(torch.cat([CONVOLVE[dims](*part, padding=1) for part in parts], 1), stride)

    y = norm(pointwise(x, block.conv1), block.bn1).clamp(min=0)
    y = norm(grouped(y), block.bn2).clamp(min=0)
    y = norm(pointwise(y, block.conv3), block.bn3)
    side = shortcut_of(block, x, shortcut, stride, extra=4)
    torch.testing.assert_close(block(x), (y + side).clamp(min=0))


def test_shortcut_a_subsamples_and_adds_zero_channels():
    x = torch.arange(2 * 3 * 4 * 5.0).view(1, 2, 3, 4, 5) + 1
    y = SubsampleShortcut(3, stride=2)(x)
    assert y.shape == (1, 5, 2, 2, 3)
    assert y[0, :2].tolist() == [
        [[[x[0, c, t, i, j].item() for j in (0, 2, 4)] for i in (0, 2)] for t in (0, 2)]
        for c in (0, 1)
    ]
    assert not y[0, 2:].any()
    assert list(SubsampleShortcut(3, stride=2).parameters()) == []


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_block_that_keeps_the_shape_has_a_plain_shortcut(block, shortcut):
    block = block(8, 4, 8, dims=2, shortcut=shortcut).eval()
    last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
    nn.init.zeros_(last.weight)
    x = torch.randn(2, 8, 4, 4).relu()
    assert torch.equal(block(x), x)


def test_a_dropped_branch_leaves_the_shortcut():
    torch.manual_seed(0)
    block = BasicBlock(4, 4, 4, dims=2, shortcut="A", drop_path_rate=0.5)
    x = torch.randn(64, 4, 5, 5).relu()
    branch = block.eval().bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))
    block.drop_path.train()
    y = block(x)
    dropped = torch.tensor([torch.equal(out, sample) for out, sample in zip(y, x, strict=True)])
    assert 0 < dropped.sum() < 64
    kept = (x + 2 * branch).relu()[~dropped]
    torch.testing.assert_close(y[~dropped], kept, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "blocks"),
    [
        ("resnet2d", {"depth": 50}, 16),
        ("resnet3d", {"depth": 18}, 8),
        ("resnext3d", {"stage_blocks": (1, 2, 1, 1)}, 5),
        ("resnet_cifar", {"depth": 20}, 9),
    ],
)
def test_drop_path_rises_linearly_and_has_no_names(name, options, blocks):
    with torch.device("meta"):
        plain = build_model(name, 5, **options)
        model = build_model(name, 5, **options, drop_path_rate=0.4)
    rates = [module.rate for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.4 * (block + 1) / blocks for block in range(blocks)])
    assert not any(module.rate for module in plain.modules() if isinstance(module, DropPath))
    assert list(model.state_dict()) == list(plain.state_dict())
