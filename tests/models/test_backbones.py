"""The contract of every registered backbone, checked at small sizes."""

import copy

import pytest
import torch
from models.small import SMALL, clip_shape

from cdb_video.errors import ConfigError
from cdb_video.models import Classifier, build_model
from cdb_video.registry import BACKBONES

NUM_CLASSES = 5

every_backbone = pytest.mark.parametrize("name", BACKBONES.names())


def small_model(name, seed=0):
    torch.manual_seed(seed)
    return build_model(name, NUM_CLASSES, **SMALL.get(name, {}))


def random_clips(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_resnext3d_is_registered():
    assert "resnext3d" in BACKBONES.names()


@every_backbone
def test_features_and_logits_have_the_promised_shapes(name):
    backbone_class = BACKBONES.get(name)
    backbone = backbone_class(backbone_class.Options(**SMALL.get(name, {}))).eval()
    video = random_clips(2, 3, *clip_shape(name))
    with torch.no_grad():
        assert backbone(video).shape == (2, backbone.num_features)
        assert small_model(name).eval()(video).shape == (2, NUM_CLASSES)


@every_backbone
@pytest.mark.parametrize(
    "size", [(1, 32, 32), (3, 32, 32), (10, 48, 64), (7, 45, 33), (16, 112, 80)]
)
def test_any_length_and_frame_size_gives_finite_logits_or_is_refused(name, size):
    model = small_model(name).eval()
    if model.fixed_input:
        with pytest.raises(ConfigError, match=f"got {size[0]} of {size[1]}x{size[2]}"):
            model(random_clips(2, 3, *size))
        return
    with torch.no_grad():
        logits = model(random_clips(2, 3, *size))
    assert logits.shape == (2, NUM_CLASSES)
    assert logits.isfinite().all()
    assert not torch.equal(logits[0], logits[1])


@every_backbone
def test_every_trainable_parameter_gets_a_gradient(name):
    model = small_model(name).train()
    loss = torch.nn.functional.cross_entropy(
        model(random_clips(4, 3, *clip_shape(name))), torch.tensor([0, 1, 2, 3])
    )
    loss.backward()
    without = [
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()
    ]
    assert without == []


@every_backbone
def test_evaluation_is_deterministic_and_changes_no_state(name):
    model = small_model(name).eval()
    before = copy.deepcopy(model.state_dict())
    video = random_clips(2, 3, *clip_shape(name))
    with torch.no_grad():
        assert torch.equal(model(video), model(video))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@every_backbone
def test_a_clip_s_logits_do_not_depend_on_its_batch(name):
    model = small_model(name).eval()
    video = random_clips(3, 3, *clip_shape(name))
    with torch.no_grad():
        together = model(video)
        alone = torch.cat([model(clip[None]) for clip in video])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@every_backbone
def test_channels_last_gives_the_same_logits(name):
    model = small_model(name).eval()
    video = random_clips(2, 3, *clip_shape(name))
    with torch.no_grad():
        expected = model(video)
        model.to(memory_format=torch.channels_last_3d)
        logits = model(video.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@every_backbone
def test_bf16_autocast_trains_and_stays_close_to_float32(name):
    model = small_model(name).eval()
    video = random_clips(2, 3, *clip_shape(name))
    expected = model(video)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(video)
    assert logits.dtype == torch.bfloat16
    # bf16 keeps 8 bits of a number, so a network of a few layers stays within some percent.
    assert (logits.float() - expected).abs().max() < 0.1 * expected.abs().max()
    logits.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@every_backbone
def test_state_dict_moves_a_network_exactly(name):
    model, other = small_model(name, seed=0), small_model(name, seed=1)
    model.train()(random_clips(4, 3, *clip_shape(name)))  # gives batch-norm statistics of its own
    video = random_clips(2, 3, *clip_shape(name), seed=2)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(video), other.eval()(video))


@every_backbone
def test_a_copy_shares_nothing(name):
    model = small_model(name)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert all(model.state_dict()[key].any() for key in ("fc.weight", "fc.bias"))


@every_backbone
def test_model_names_are_the_backbone_s_and_the_head_s(name):
    backbone_class = BACKBONES.get(name)
    backbone = backbone_class(backbone_class.Options(**SMALL.get(name, {})))
    model = small_model(name)
    assert list(model.state_dict()) == [*backbone.state_dict(), "fc.weight", "fc.bias"]
    assert model.fc.weight.shape == (NUM_CLASSES, backbone.num_features)


@every_backbone
@pytest.mark.parametrize(
    ("video", "got"),
    [
        (torch.zeros(3, 8, 32, 32), r"float32 \(3, 8, 32, 32\)"),
        (torch.zeros(2, 8, 3, 32, 32), r"float32 \(2, 8, 3, 32, 32\)"),
        (torch.zeros(2, 3, 8, 32, 32, dtype=torch.uint8), r"uint8 \(2, 3, 8, 32, 32\)"),
    ],
    ids=["no batch axis", "channels after time", "not normalised"],
)
def test_wrong_input_is_named_in_one_line(name, video, got):
    with pytest.raises(ValueError, match=r"must be float \(B, 3, T, H, W\), got " + got):
        small_model(name)(video)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = build_model("resnext3d", NUM_CLASSES, dropout_rate=1.0, **SMALL["resnext3d"])
    video = random_clips(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.train()(video), model.fc.bias.expand(2, -1))
        assert not torch.equal(model.eval()(video), model.fc.bias.expand(2, -1))


@every_backbone
def test_every_parameter_is_in_exactly_one_stage(name):
    backbone_class = BACKBONES.get(name)
    backbone = backbone_class(backbone_class.Options(**SMALL.get(name, {})))
    parts = [part for stage in getattr(backbone, "stages", ()) for part in stage]
    for key, _ in backbone.named_parameters() if parts else ():
        assert sum(f"{key}.".startswith(f"{part}.") for part in parts) == 1, key
    for part in parts:
        assert any(f"{key}.".startswith(f"{part}.") for key, _ in backbone.named_parameters()), part


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
        pass

    with pytest.raises(TypeError, match="Clash: 'fc' is the head's name"):
        Clash(None, NUM_CLASSES, 0.0)
