"""2D ResNet and ResNeXt against torchvision's: size, cost, names, shapes."""

import pytest
import torch
from models.published import checkpoint_names, names_in, size_and_cost

from cdb_video.models import build_model
from cdb_video.models.backbones.resnet2d import ResNet2D

# num_params and GFLOPS (multiply-adds at 224 x 224) of torchvision's table of classification
# weights, docs.pytorch.org/vision/stable/models.html. It has no ResNet-10.
PUBLISHED = [
    ({"depth": 18}, 11_689_512, 1.81),
    ({"depth": 34}, 21_797_672, 3.66),
    ({"depth": 50}, 25_557_032, 4.09),
    ({"depth": 101}, 44_549_160, 7.80),
    ({"depth": 152}, 60_192_808, 11.51),
    ({"depth": 50, "cardinality": 32, "width_per_group": 4}, 25_028_904, 4.23),
    ({"depth": 101, "cardinality": 32, "width_per_group": 8}, 88_791_336, 16.41),
    ({"depth": 50, "width_per_group": 128}, 68_883_240, 11.40),
]


@pytest.mark.parametrize(("options", "parameters", "gmacs"), PUBLISHED)
def test_size_and_cost_are_the_published_ones(options, parameters, gmacs):
    size, cost = size_and_cost("resnet2d", 1000, 1, 224, 224, **options)
    assert size == parameters
    assert cost / 1e9 == pytest.approx(gmacs, abs=0.005)


def test_resnet_10_is_resnet_18_without_its_blocks_that_keep_the_shape():
    size, cost = size_and_cost("resnet2d", 1000, 1, 224, 224, depth=10)
    larger, costlier = size_and_cost("resnet2d", 1000, 1, 224, 224, depth=18)
    channels = (64, 128, 256, 512)
    assert larger - size == sum(2 * (9 * c * c + 2 * c) for c in channels)
    places = {64: 56**2, 128: 28**2, 256: 14**2, 512: 7**2}
    assert costlier - cost == sum(2 * 9 * c * c * places[c] for c in channels)


@pytest.mark.parametrize(
    ("depth", "blocks", "convolutions", "downsampled"),
    [
        (10, (1, 1, 1, 1), 2, (2, 3, 4)),
        (18, (2, 2, 2, 2), 2, (2, 3, 4)),
        (34, (3, 4, 6, 3), 2, (2, 3, 4)),
        (50, (3, 4, 6, 3), 3, (1, 2, 3, 4)),
        (101, (3, 4, 23, 3), 3, (1, 2, 3, 4)),
        (152, (3, 8, 36, 3), 3, (1, 2, 3, 4)),
    ],
)
def test_names_are_torchvision_s(depth, blocks, convolutions, downsampled):
    with torch.device("meta"):
        model = build_model("resnet2d", 1000, depth=depth)
    expected = checkpoint_names(blocks, convolutions=convolutions, downsampled=downsampled)
    assert names_in(model) == expected
    weights = [name for name in expected if ".conv" in name]
    assert len(weights) + 2 == depth  # the first convolution and the head


def test_weights_of_resnext_50_have_torchvision_s_shapes():
    with torch.device("meta"):
        model = build_model("resnet2d", 1000, cardinality=32, width_per_group=4)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.conv2.weight"] == (128, 4, 3, 3)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer4.2.conv3.weight"] == (2048, 1024, 1, 1)
    assert shapes["fc.weight"] == (1000, 2048)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 20}, r"depth must be one of \(10, 18, 34, 50, 101, 152\), got 20"),
        (
            {"depth": 18, "cardinality": 32},
            "cardinality must be 1 with the basic blocks of depth 18, got 32",
        ),
    ],
)
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        ResNet2D.Options(**options)
    assert "\n" not in str(caught.value)
