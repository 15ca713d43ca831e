"""3D ResNeXt against the published network: size, names, shapes, cost, shortcuts."""

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from models.published import checkpoint_names, names_in

from cdb_video.models import build_model
from cdb_video.models.backbones.resnext3d import ResNeXt3D

SMALL = {"width": 16, "cardinality": 4, "stage_blocks": (1, 1, 1, 1)}


@pytest.fixture(scope="module")
def published():
    """The network of the CDB paper, without memory for its values."""
    with torch.device("meta"):
        return build_model("resnext3d", 19)


def test_published_network_has_the_published_size(published):
    assert sum(parameter.numel() for parameter in published.parameters()) == 47_560_147
    assert published.num_features == 2048


@pytest.mark.parametrize(
    ("depth", "blocks"), [(50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))]
)
def test_names_are_those_of_the_public_checkpoints(depth, blocks):
    with torch.device("meta"):
        model = build_model("resnext3d", 400, depth=depth)
    assert names_in(model) == checkpoint_names(blocks, convolutions=3, downsampled=(1, 2, 3, 4))
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv3d)]
    shortcuts = 4
    assert len(convolutions) - shortcuts + 1 == depth  # the head is the last layer


def test_parameter_names_are_the_names_in_the_state_dict(published):
    buffers = {name for name, _ in published.named_buffers()}
    parameters = [name for name, _ in published.named_parameters()]
    assert parameters == [name for name in published.state_dict() if name not in buffers]


def test_stages_halve_time_and_space_as_published(published):
    shapes = {}
    watched = {name: getattr(published, name) for name in ("conv1", "maxpool")}
    watched |= {f"layer{stage}": getattr(published, f"layer{stage}") for stage in (1, 2, 3, 4)}
    hooks = [
        module.register_forward_hook(lambda _m, _i, y, name=name: shapes.update({name: y.shape}))
        for name, module in watched.items()
    ]
    logits = published(torch.zeros(1, 3, 10, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    assert shapes == {
        "conv1": (1, 64, 10, 112, 112),
        "maxpool": (1, 64, 5, 56, 56),
        "layer1": (1, 256, 5, 56, 56),
        "layer2": (1, 512, 3, 28, 28),
        "layer3": (1, 1024, 2, 14, 14),
        "layer4": (1, 2048, 1, 7, 7),
    }
    assert logits.shape == (1, 19)


def test_a_clip_costs_the_published_number_of_operations():
    model = build_model("resnext3d", 19).eval()
    with torch.no_grad():
        cost = FlopCountAnalysis(model, torch.zeros(1, 3, 10, 224, 224))
        cost.unsupported_ops_warnings(False)
        assert cost.total() / 1e9 == pytest.approx(29.2, abs=0.05)  # fvcore counts a MAC as one


def test_initial_values():
    torch.manual_seed(0)
    model = ResNeXt3D(ResNeXt3D.Options(width=64, cardinality=8, stage_blocks=(1, 1, 1, 1)))
    for module in model.modules():
        if isinstance(module, torch.nn.Conv3d):
            fan_out = module.out_channels * module.weight[0, 0].numel()
            expected = (2 / fan_out) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert module.bias is None
        elif isinstance(module, torch.nn.BatchNorm3d):
            assert module.weight.eq(1).all()
            assert module.bias.eq(0).all()


def test_shortcut_a_has_no_parameters():
    model = build_model("resnext3d", 7, **SMALL, shortcut="A")
    assert names_in(model) == checkpoint_names((1, 1, 1, 1), convolutions=3, downsampled=())


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ({}, (5, 16, 16)),
        ({"stem_kernel": (3, 5, 5)}, (5, 16, 16)),
        ({"stem_stride": (1, 1, 1)}, (5, 32, 32)),
        ({"stem_pool_stride": (1, 2, 2)}, (10, 16, 16)),
        ({"stem_stride": (2, 2, 2), "stem_pool_stride": (1, 1, 1)}, (5, 32, 32)),
    ],
)
def test_stem_options_set_the_resolution_of_the_first_stage(stem, expected):
    with torch.device("meta"):
        model = ResNeXt3D(ResNeXt3D.Options(**SMALL, **stem))
        features = model.maxpool(model.conv1(torch.zeros(1, 3, 10, 64, 64)))
    assert features.shape == (1, 8, *expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 18}, r"depth must be one of \(50, 101, 152\), got 18"),
        ({"shortcut": "C"}, "shortcut must be 'A' or 'B', got 'C'"),
        ({"width": 33}, "width must be even and >= 2, got 33"),
        ({"cardinality": 48}, "cardinality must divide width 128, got 48"),
        ({"cardinality": 0}, "cardinality must divide width 128, got 0"),
        ({"stage_blocks": (1, 1)}, r"stage_blocks must be empty or 4 numbers >= 1, got \(1, 1\)"),
        ({"stage_blocks": (1, 0, 1, 1)}, r"stage_blocks .*, got \(1, 0, 1, 1\)"),
        ({"stem_kernel": (3, 4, 3)}, r"stem_kernel must be 3 odd numbers, got \(3, 4, 3\)"),
    ],
)
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        ResNeXt3D.Options(**options)
    assert "\n" not in str(caught.value)
