"""Each check of the contract against backbones that break just that part."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from cdb_video.errors import ConfigError
from cdb_video.models import contract
from cdb_video.models.backbone import Backbone, InputFormat
from cdb_video.models.contract import CHECKS
from cdb_video.models.subject import ContractError, Subject
from cdb_video.registry import BACKBONES


class Sound(Backbone):
    """Keeps the contract; the others are this with one mistake."""

    @dataclass(frozen=True)
    class Options:
        width: int = 8

    stages = (("conv", "bn"),)

    def __init__(self, options):
        super().__init__()
        self.num_features = options.width
        self.conv = nn.Conv3d(3, options.width, 3, padding=1)
        self.bn = nn.BatchNorm3d(options.width)

    def forward(self, video):
        return self.bn(self.conv(video)).relu().mean(dim=(2, 3, 4))


class FixedInput(Sound):
    fixed_input = True
    input_format = InputFormat(4, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def forward(self, video):
        if video.shape[2:] != (4, 16, 16):
            raise ConfigError(f"clips must be 4 frames of 16 x 16, got {(*video.shape[2:],)}")
        return super().forward(video)


class FixedInputInName(FixedInput):
    def forward(self, video):
        return Sound.forward(self, video)


class FeatureMaps(Sound):
    def forward(self, video):
        return self.conv(video)


class Constant(Sound):
    def forward(self, video):
        return super().forward(torch.ones_like(video))


class Unbiased(Sound):
    """Not finite for a single frame."""

    def forward(self, video):
        return super().forward(video) + torch.ones(()) / (video.shape[2] - 1)


class EvenFrames(Sound):
    def forward(self, video):
        return super().forward(torch.cat([video[..., ::2], video[..., 1::2]], dim=1)[:, :3])


class Unused(Sound):
    stages = ()

    def __init__(self, options):
        super().__init__(options)
        self.spare = nn.Linear(2, 2)


class Detached(Sound):
    def forward(self, video):
        return self.bn(self.conv(video).detach()).relu().mean(dim=(2, 3, 4))


class ZeroBranch(Sound):
    """Sound: what lies before a scale that starts at zero gets its gradient one step later."""

    stages = (("conv", "bn", "scale"),)

    def __init__(self, options):
        super().__init__(options)
        self.scale = nn.Parameter(torch.zeros(options.width))

    def forward(self, video):
        return video.mean(dim=(1, 2, 3, 4))[:, None] + self.scale * super().forward(video)


class AlwaysDrops(Sound):
    def forward(self, video):
        return nn.functional.dropout(super().forward(video))


class Counts(Sound):
    def __init__(self, options):
        super().__init__(options)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, video):
        self.seen += len(video)
        return super().forward(video)


class CentresBatch(Sound):
    def forward(self, video):
        return super().forward(video - video.mean(dim=0))


class ReadsMemoryOrder(Sound):
    def forward(self, video):
        return super().forward(video.view(len(video), -1).view(video.shape))


class Rounds(Sound):
    def forward(self, video):
        return (1000 * super().forward(video)).sin()


class HiddenState(Sound):
    def __init__(self, options):
        super().__init__(options)
        self.shift = torch.randn(options.width)

    def forward(self, video):
        return super().forward(video) + self.shift


class Renames(Sound):
    @staticmethod
    def local_name(name):
        return f"net.{name}"


class OneOfAKind(Sound):
    def __deepcopy__(self, memo):
        return self


class Stageless(Sound):
    stages = (("conv",),)


class TwiceStaged(Sound):
    stages = (("conv", "bn"), ("conv.weight",))


class EmptyStage(Sound):
    stages = (("conv", "bn", "layer4"),)


class Branches(Sound):
    def forward(self, video):
        return super().forward(video if video.sum() > 0 else video.abs())


class BranchesAsNoted(Branches):
    compile_note = "the network chooses its way by the sum of the clip"


class NotedInVain(Sound):
    compile_note = "the network chooses its way by the sum of the clip"


@pytest.fixture
def subject(monkeypatch):
    def subject(kind, **shape):
        monkeypatch.setattr(BACKBONES, "get", lambda name: kind)
        return Subject("some", {}, **shape)

    return subject


@pytest.mark.parametrize("kind", [Sound, FixedInput])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_network_passes(subject, check, kind):
    check(subject(kind))


@pytest.mark.parametrize(
    ("check", "kind"), [(contract.gradients, ZeroBranch), (contract.compilation, BranchesAsNoted)]
)
def test_what_is_allowed_passes(subject, check, kind):
    check(subject(kind))


@pytest.mark.parametrize(
    ("check", "kind", "reason"),
    [
        ("shapes", FeatureMaps, r"must be float32 \(B, num_features\) = \(2, 8\), got float32"),
        ("shapes", Constant, "logits do not depend on the clip"),
        ("number_of_frames", Unbiased, r"must be finite for clips \(2, 3, 1, 32, 32\)"),
        ("number_of_frames", FixedInputInName, r"fixed_input must refuse \(2, 3, 5, 16, 16\)"),
        ("frame_size", EvenFrames, r"^RuntimeError: .*, for clips \(2, 3, 7, 45, 33\)"),
        ("frame_size", FixedInputInName, r"fixed_input must refuse \(2, 3, 4, 17, 17\)"),
        ("gradients", Unused, "no gradient reaches spare.weight, spare.bias"),
        ("gradients", Detached, "no gradient reaches conv.weight, conv.bias"),
        ("evaluation", AlwaysDrops, "other logits the second time"),
        ("evaluation", Counts, "a forward pass in eval mode changes seen"),
        ("batch_independence", CentresBatch, "logits must be equal in a batch and alone"),
        ("bfloat16", Rounds, "must be within 10 % of float32"),
        ("state_dict", HiddenState, "from another's state dict gives other logits"),
        ("published_names", Renames, "must keep the network's own name 'conv.weight', got 'net."),
        ("copies", OneOfAKind, "a change to a deep copy changes the network"),
        ("stages", Stageless, r"bn.weight must be in exactly one stage, got \[\]"),
        ("stages", TwiceStaged, r"conv.weight must .* stage, got \['conv', 'conv.weight'\]"),
        ("stages", EmptyStage, "stages name layer4, which has no parameters"),
        (
            "compilation",
            Branches,
            r"test_contract.py:\d+; if it must be so, say why in compile_note",
        ),
        ("compilation", NotedInVain, "compiles, so compile_note must be empty"),
    ],
)
def test_a_broken_network_is_named_in_one_line(subject, check, kind, reason):
    with pytest.raises(ContractError, match=reason) as error:
        getattr(contract, check)(subject(kind))
    assert "\n" not in str(error.value)


def test_a_network_that_fails_on_channels_last_raises(subject):
    with pytest.raises(RuntimeError, match="view"):
        contract.channels_last(subject(ReadsMemoryOrder))


def test_clips_have_the_shape_that_was_asked_for(subject):
    assert subject(Sound, num_frames=5, size=20).clips(2).shape == (2, 3, 5, 20, 20)
    assert subject(FixedInput, num_frames=5, size=20).clips(2).shape == (2, 3, 4, 16, 16)
