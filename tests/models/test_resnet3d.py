"""3D ResNet against published networks and against a count by hand: size, cost, names."""

import math

import pytest
import torch
from models.published import checkpoint_names, names_in, size_and_cost

from cdb_video.models import build_model
from cdb_video.models.backbones.resnet3d import ResNet3D

BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
WIDE = {"width_multiplier": 2, "expansion": 2}


def count_by_hand(depth, shortcut, width_multiplier=1, expansion=4, num_classes=400):
    """(parameters, multiply-adds) at 16 x 112 x 112, layer by layer from the paper's table 1."""
    positions = 16 * 56 * 56
    parameters = 64 * 3 * 7**3
    operations = parameters * positions
    parameters += 2 * 64
    channels, positions = 64, 8 * 28 * 28

    def layer(kernel, inputs, outputs, places):
        nonlocal parameters, operations
        parameters += kernel * inputs * outputs + 2 * outputs
        operations += kernel * inputs * outputs * places

    for stage, count in enumerate(BLOCKS[depth]):
        inner = 64 * width_multiplier * 2**stage
        out = inner if depth < 50 else expansion * inner
        for block in range(count):
            before = positions
            if stage and not block:
                positions = math.ceil(8 / 2**stage) * math.ceil(28 / 2**stage) ** 2
            if depth < 50:
                layer(27, channels, inner, positions)
                layer(27, inner, out, positions)
            else:
                layer(1, channels, inner, before)
                layer(27, inner, inner, positions)
                layer(1, inner, out, positions)
            if shortcut == "B" and (channels != out or before != positions):
                layer(1, channels, out, positions)
            channels = out
    return parameters + (channels + 1) * num_classes, operations + channels * num_classes


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize(
    ("depth", "wide"), [(10, {}), (18, {}), (34, {}), (50, {}), (101, {}), (152, {}), (50, WIDE)]
)
def test_size_and_cost_are_those_counted_by_hand(depth, wide, shortcut):
    counted = count_by_hand(depth, shortcut, **wide)
    options = {"depth": depth, "shortcut": shortcut, **wide}
    assert size_and_cost("resnet3d", 400, 16, 112, 112, **options) == counted


# Millions of parameters by Köpüklü et al., "Resource Efficient 3D Convolutional Neural Networks",
# ICCV Workshops 2019; theirs are the networks of Hara et al. with shortcut A and 400 classes.
@pytest.mark.parametrize(("depth", "millions"), [(18, 33.24), (50, 44.24), (101, 83.29)])
def test_size_is_the_published_one(depth, millions):
    size, _ = size_and_cost("resnet3d", 400, 16, 112, 112, depth=depth, shortcut="A")
    assert size / 1e6 == pytest.approx(millions, abs=0.005)


def test_with_its_stem_it_is_torchvision_s_r3d_18():
    """num_params and GFLOPS in torchvision's documentation of ``r3d_18``, 16 x 112 x 112. It does
    not pool after its stem; pooling without a stride costs no multiply-adds."""
    stem = {"stem_kernel": (3, 7, 7), "stem_pool_stride": (1, 1, 1)}
    size, cost = size_and_cost("resnet3d", 400, 16, 112, 112, depth=18, **stem)
    assert size == 33_371_472
    assert cost / 1e9 == pytest.approx(40.70, abs=0.005)


@pytest.mark.parametrize(
    ("depth", "shortcut", "downsampled"),
    [
        (10, "B", (2, 3, 4)),
        (18, "A", ()),
        (34, "A", ()),
        (50, "B", (1, 2, 3, 4)),
        (101, "B", (1, 2, 3, 4)),
        (152, "B", (1, 2, 3, 4)),
    ],
)
def test_names_are_those_of_the_public_checkpoints(depth, shortcut, downsampled):
    with torch.device("meta"):
        model = build_model("resnet3d", 400, depth=depth, shortcut=shortcut)
    convolutions = 2 if depth < 50 else 3
    assert names_in(model) == checkpoint_names(
        BLOCKS[depth], convolutions=convolutions, downsampled=downsampled
    )


def test_the_wide_network_has_the_channels_of_hara_et_al():
    with torch.device("meta"):
        model = build_model("resnet3d", 400, depth=50, **WIDE)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7, 7)
    assert shapes["layer1.0.conv2.weight"] == (128, 128, 3, 3, 3)
    assert shapes["layer1.0.conv3.weight"] == (256, 128, 1, 1, 1)
    assert shapes["layer4.0.conv2.weight"] == (1024, 1024, 3, 3, 3)
    assert model.num_features == 2048


def test_a_depth_without_a_network_is_refused():
    with pytest.raises(ValueError, match=r"depth must be one of \(10, .*, 152\), got 20") as caught:
        ResNet3D.Options(depth=20)
    assert "\n" not in str(caught.value)
