"""The contract of every registered backbone, checked at small sizes."""

import pytest
import torch
from models.small import LARGE, SMALL

from cdb_video.errors import ConfigError
from cdb_video.models import Architecture, Classifier, build_model
from cdb_video.models.backbone import Backbone
from cdb_video.models.contract import CHECKS
from cdb_video.models.subject import Subject
from cdb_video.outputs import Outputs
from cdb_video.registry import BACKBONES

NUM_CLASSES = 5

every_backbone = pytest.mark.parametrize("name", BACKBONES.names())


def test_resnext3d_is_registered():
    assert "resnext3d" in BACKBONES.names()


# What is slow for a large network; a small one of each kind does it in any case.
LONG = ("compilation", "gradients", "channels_last", "byte_input", "bfloat16")
LONG += ("batch_independence", "frame_size", "number_of_frames")
PAIRS = [
    pytest.param(
        check,
        name,
        id=f"{check.__name__}-{name}",
        marks=[pytest.mark.slow] if name in LARGE and check.__name__ in LONG else [],
    )
    for check in CHECKS
    for name in BACKBONES.names()
]


@pytest.mark.parametrize(("check", "name"), PAIRS)
def test_contract(name, check):
    check(Subject(name, SMALL.get(name, {})))


@every_backbone
@pytest.mark.parametrize(
    ("video", "got"),
    [
        (torch.zeros(3, 8, 32, 32), r"float32 \(3, 8, 32, 32\)"),
        (torch.zeros(2, 8, 3, 32, 32), r"float32 \(2, 8, 3, 32, 32\)"),
        (torch.zeros(2, 3, 8, 32, 32, dtype=torch.int64), r"int64 \(2, 3, 8, 32, 32\)"),
    ],
    ids=["no batch axis", "channels after time", "integers"],
)
def test_wrong_input_is_named_in_one_line(name, video, got):
    with pytest.raises(ValueError, match=r"must be uint8 or float \(B, 3, T, H, W\), got " + got):
        build_model(name, NUM_CLASSES, **SMALL.get(name, {}))(video)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = build_model("resnext3d", NUM_CLASSES, dropout_rate=1.0, **SMALL["resnext3d"])
    video = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.train()(video), model.fc.bias.expand(2, -1))
        assert not torch.equal(model.eval()(video), model.fc.bias.expand(2, -1))


def test_a_cosine_head_gives_cosines():
    torch.manual_seed(0)
    model = build_model("resnext3d", NUM_CLASSES, head="cosine", **SMALL["resnext3d"]).eval()
    video = torch.randn(2, 3, 4, 32, 32)
    features = []
    model.fc.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.no_grad():
        logits = model(video)
    for row, feature in zip(logits, features[0], strict=True):
        for logit, weight in zip(row, model.fc.weight, strict=True):
            cosine = feature @ weight / (feature @ feature).sqrt() / (weight @ weight).sqrt()
            assert logit.item() == pytest.approx(cosine.item(), abs=1e-5)
    assert [key for key in model.state_dict() if key.startswith("fc.")] == ["fc.weight"]


def test_a_plain_module_takes_over_the_defaults(monkeypatch):
    class Plain(torch.nn.Module):
        num_features = 3
        Options = type("Options", (), {})

        def __init__(self, options):
            super().__init__()

        def forward(self, video):
            return video.mean(dim=(2, 3, 4))

    monkeypatch.setattr(BACKBONES, "get", lambda name: Plain)
    model = build_model("plain", NUM_CLASSES)
    assert model.stages == ()
    assert model.local_name("conv1.weight") == "conv1.weight"
    assert model(torch.zeros(2, 3, 1, 4, 4)).shape == (2, NUM_CLASSES)


def test_unknown_backbone_and_impossible_head_are_refused():
    with pytest.raises(ConfigError, match="resnext3d"):
        build_model("resnext", NUM_CLASSES)
    with pytest.raises(ValueError, match="num_classes must be >= 1, got 0"):
        build_model("resnext3d", 0, **SMALL["resnext3d"])


def test_a_backbone_may_not_use_the_head_s_names():
    class WithOwnHead(torch.nn.Module):
        num_features = 3

        def __init__(self, options):
            super().__init__()
            self.fc = torch.nn.Linear(3, 3)

    class Clash(Classifier, WithOwnHead):
        input_format = Backbone.input_format

    with pytest.raises(TypeError, match="Clash: 'fc' is a classifier's own"):
        Clash(Architecture(options=None), Outputs.unnamed(NUM_CLASSES))
