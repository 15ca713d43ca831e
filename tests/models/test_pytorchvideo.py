"""PyTorchVideo's networks against its hub, its published figures and PySlowFast's names."""

import importlib
import math
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from models.small import SMALL
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cdb_video.models import build_model
from cdb_video.models.weights.fit import load_weights
from cdb_video.registry import BACKBONES

NUM_CLASSES = 5
NAMES = [
    name
    for name in BACKBONES.names()
    if BACKBONES.get(name).__module__ == "cdb_video.models.backbones.pytorchvideo"
]


def published(name, **options):
    """The network of the model zoo, without memory for its values."""
    with torch.device("meta"):
        return build_model(name, 400, **options).eval()


@pytest.mark.parametrize(
    ("name", "options", "frames", "size", "parameters", "gmacs", "per_norm"),
    [
        # Table "Kinetics-400" of PyTorchVideo's model zoo, at the size of the crops it was tested
        # on. All counts but the first two take 5 operations for each number that is normalised.
        ("slow_r50", {}, 8, 256, 32.45, 54.52, 0),
        ("slowfast_r50", {}, 32, 256, 34.57, 65.71, 0),
        ("c2d_r50", {}, 8, 256, 24.33, 25.89, 5),
        ("i3d_r50", {}, 8, 256, 28.04, 37.53, 5),
        ("r2plus1d_r50", {}, 16, 256, 28.11, 76.45, 5),
        ("csn_r101", {}, 32, 256, 22.21, 75.62, 5),
        ("x3d_xs", {}, 4, 182, 3.79, 0.91, 5),
        ("x3d_s", {}, 13, 182, 3.79, 2.96, 5),
        ("x3d_m", {}, 16, 256, 3.79, 6.72, 5),
        ("x3d_l", {}, 16, 356, 6.15, 26.64, 5),
        ("mvit_b", {}, 16, 224, 36.61, 70.80, 5),
        ("mvit_b", {"num_frames": 32}, 32, 224, 36.61, 170.37, 5),
    ],
)
def test_size_and_cost_are_the_published_ones(
    name, options, frames, size, parameters, gmacs, per_norm
):
    model = published(name, **options)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(parameters, abs=0.005)
    normalised = []
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm3d, nn.LayerNorm)):
            module.register_forward_hook(lambda _module, _input, y: normalised.append(y.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, frames, size, size, device="meta"))
    operations = counter.get_total_flops() / 2 + per_norm * sum(normalised)
    assert operations / 1e9 == pytest.approx(gmacs, rel=0.005)


HUB = {
    "slow_r50": {"stem_dim_out": 8},
    "c2d_r50": {"stem_dim_out": 8},
    "i3d_r50": {"stem_dim_out": 8},
    "csn_r101": {"stem_dim_out": 8},
    "r2plus1d_r50": {"stem_dim_out": 8, "head_activation": None},
    "slowfast_r50": {"stem_dim_outs": (8, 2), "slowfast_channel_reduction_ratio": 4},
    "x3d_xs": {"width_factor": 0.5, "depth_factor": 0.5, "head_activation": None},
    "mvit_b": {"spatial_size": 32, "temporal_size": 4, "patch_embed_dim": 8},
}
"""Arguments that make the hub's network as small as ours in ``SMALL``."""


@pytest.mark.parametrize("name", HUB)
def test_a_hub_checkpoint_gives_the_hub_s_logits(name):
    torch.manual_seed(0)
    model = build_model(name, NUM_CLASSES, **SMALL[name]).eval()
    hub = importlib.import_module("pytorchvideo.models.hub")
    size = (8, 64, 64)
    if name == "mvit_b":
        original = hub.mvit_base_16x4(**HUB[name], head_num_classes=NUM_CLASSES).eval()
        size = (4, 32, 32)
    elif name == "x3d_xs":
        original = hub.x3d_xs(**HUB[name], model_num_class=NUM_CLASSES).eval()
        size = (4, 160, 160)
    else:
        original = getattr(hub, name)(
            **HUB[name], model_num_class=NUM_CLASSES, head_pool=nn.AdaptiveAvgPool3d
        ).eval()
    for module in original.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 1, 2)
    hub_state = original.state_dict()
    model.load_state_dict({model.local_name(key): value for key, value in hub_state.items()})
    assert {model.local_name(f"model.{key}") for key in hub_state} == set(model.state_dict())
    video = torch.randn(2, 3, *size)
    with torch.no_grad():
        clips = video
        if name == "slowfast_r50":  # as PyTorchVideo's examples split the frames
            frames = size[0]
            slow = torch.linspace(0, frames - 1, frames // 4).long()
            clips = [video[:, :, slow], video.clone()]
        torch.testing.assert_close(model(video), original(clips), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_own_names_stay_as_they_are(name):
    model = build_model(name, NUM_CLASSES, **SMALL[name])
    for key in (*model.state_dict(), "anything.else", "s6.weight"):
        assert model.local_name(key) == key


class PySlowFast:
    """Names and shapes of a PySlowFast checkpoint, built up layer by layer as its models are."""

    def __init__(self):
        self.shapes = {}

    def conv(self, name, out, groups_in, *kernel):
        self.shapes[f"{name}.weight"] = (out, groups_in, *kernel)

    def norm(self, name, channels, *statistics):
        for kind in ("weight", "bias", *statistics):
            self.shapes[f"{name}.{kind}"] = (channels,)

    def batch_norm(self, name, channels):
        self.norm(name, channels, "running_mean", "running_var")

    def linear(self, name, out, inner):
        self.shapes |= {f"{name}.weight": (out, inner), f"{name}.bias": (out,)}

    def bottleneck(self, name, dim_in, inner, out, kernel_a, kernel_b, groups, stride):
        if dim_in != out or stride != 1:
            self.conv(f"{name}.branch1", out, dim_in, 1, 1, 1)
            self.batch_norm(f"{name}.branch1_bn", out)
        self.conv(f"{name}.branch2.a", inner, dim_in, *kernel_a)
        self.batch_norm(f"{name}.branch2.a_bn", inner)
        self.conv(f"{name}.branch2.b", inner, inner // groups, *kernel_b)
        self.batch_norm(f"{name}.branch2.b_bn", inner)
        self.conv(f"{name}.branch2.c", out, inner, 1, 1, 1)
        self.batch_norm(f"{name}.branch2.c_bn", out)

    def resnet(self, times, pathway=0, width=64, fused=0):
        """A ResNet-50 with the temporal kernel sizes ``times[stage]``, repeated over its blocks;
        ``fused``: channels that the other pathway adds to the stem's, doubling with each stage."""
        self.conv(f"s1.pathway{pathway}_stem.conv", width, 3, times[0][0], 7, 7)
        self.batch_norm(f"s1.pathway{pathway}_stem.bn", width)
        dim_in, fused_in = width, fused
        for stage, blocks in enumerate((3, 4, 6, 3)):
            inner = width * 2**stage
            for block in range(blocks):
                kernel = (times[stage + 1][block % len(times[stage + 1])], 1, 1)
                self.bottleneck(
                    f"s{stage + 2}.pathway{pathway}_res{block}",
                    dim_in + fused_in,
                    inner,
                    4 * inner,
                    kernel,
                    (1, 3, 3),
                    groups=1,
                    stride=1 if stage == 0 or block else 2,
                )
                dim_in, fused_in = 4 * inner, 0
            fused_in = 4 * fused * 2**stage

    def slowfast(self):
        self.resnet([[1], [1], [1], [3], [3]], pathway=0, fused=16)
        self.resnet([[5], [3], [3], [3], [3]], pathway=1, width=8)
        for stage, fast in enumerate((8, 32, 64, 128), start=1):
            self.conv(f"s{stage}_fuse.conv_f2s", 2 * fast, fast, 7, 1, 1)
            self.batch_norm(f"s{stage}_fuse.bn", 2 * fast)
        self.linear("head.projection", 400, 2048 + 256)

    def x3d(self):
        self.conv("s1.pathway0_stem.conv_xy", 24, 3, 1, 3, 3)
        self.conv("s1.pathway0_stem.conv", 24, 1, 5, 1, 1)
        self.batch_norm("s1.pathway0_stem.bn", 24)
        dim_in = 24
        stages = zip((24, 48, 96, 192), (3, 5, 11, 7), (8, 8, 16, 32), strict=True)
        for stage, (out, blocks, squeezed) in enumerate(stages, start=2):
            inner = out * 9 // 4
            for block in range(blocks):
                name = f"s{stage}.pathway0_res{block}"
                stride = 1 if block else 2
                self.bottleneck(name, dim_in, inner, out, (1, 1, 1), (3, 3, 3), inner, stride)
                if block % 2 == 0:
                    for part, shape in (("fc1", (squeezed, inner)), ("fc2", (inner, squeezed))):
                        self.conv(f"{name}.branch2.se.{part}", *shape, 1, 1, 1)
                        self.shapes[f"{name}.branch2.se.{part}.bias"] = shape[:1]
                dim_in = out
        self.conv("head.conv_5", 432, 192, 1, 1, 1)
        self.batch_norm("head.conv_5_bn", 432)
        self.conv("head.lin_5", 2048, 432, 1, 1, 1)
        self.linear("head.projection", 400, 2048)

    def mvit(self):
        self.conv("patch_embed.proj", 96, 3, 3, 7, 7)
        self.shapes["patch_embed.proj.bias"] = (96,)
        places = {"cls_token": 1, "pos_embed_class": 1, "pos_embed_spatial": 56**2}
        for name, count in (places | {"pos_embed_temporal": 8}).items():
            self.shapes[name] = (1, count, 96)
        dims = [96] + [192] * 2 + [384] * 11 + [768] * 3
        for block, (dim, out) in enumerate(zip(dims, dims[1:], strict=False)):
            name = f"blocks.{block}"
            self.norm(f"{name}.norm1", dim)
            for part in ("q", "k", "v", "proj"):
                self.linear(f"{name}.attn.{part}", dim, dim)
            for part in ("q", "k", "v") if block in (1, 3, 14) else ("k", "v"):
                self.conv(f"{name}.attn.pool_{part}", 96, 1, 3, 3, 3)
                self.norm(f"{name}.attn.norm_{part}", 96)
            self.norm(f"{name}.norm2", dim)
            self.linear(f"{name}.mlp.fc1", 4 * dim, dim)
            self.linear(f"{name}.mlp.fc2", out, 4 * dim)
            if dim != out:
                self.linear(f"{name}.proj", out, dim)
        self.norm("norm", 768)
        self.linear("head.projection", 400, 768)


def resnet(checkpoint, times):
    checkpoint.resnet(times)
    checkpoint.linear("head.projection", 400, 2048)


@pytest.mark.parametrize(
    ("name", "build", "no_place"),
    [
        ("slow_r50", partial(resnet, times=[[1], [1], [1], [3], [3]]), ""),
        ("c2d_r50", partial(resnet, times=[[1]] * 5), ""),
        ("i3d_r50", partial(resnet, times=[[5], [3], [3, 1], [3, 1], [1, 3]]), ""),
        ("slowfast_r50", PySlowFast.slowfast, ""),
        ("x3d_m", PySlowFast.x3d, "s2.pathway0_res0.branch1_bn."),
        ("mvit_b", PySlowFast.mvit, ""),
    ],
)
def test_every_tensor_of_a_pyslowfast_checkpoint_finds_its_place(name, build, no_place):
    checkpoint = PySlowFast()
    build(checkpoint)
    model = published(name)
    found = {
        model.local_name(key): shape
        for key, shape in checkpoint.shapes.items()
        if not (no_place and key.startswith(no_place))
    }
    assert found == {
        key: tuple(tensor.shape)
        for key, tensor in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("frames", [1, 3, 8, 9])
@pytest.mark.parametrize("alpha", [1, 2, 4])
def test_slowfast_splits_the_frames(frames, alpha):
    model = build_model("slowfast_r50", NUM_CLASSES, **SMALL["slowfast_r50"], alpha=alpha).eval()
    seen, joined = [], []
    first, video = model.blocks[0], torch.randn(1, 3, frames, 32, 32)
    for stem in first.multipathway_blocks:
        stem.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    first.register_forward_hook(lambda _module, _inputs, output: joined.extend(output))
    with torch.no_grad():
        model(video)
    slow, fast = seen
    assert torch.equal(fast, video)
    assert slow.shape[2] == math.ceil(frames / alpha)
    expected = np.linspace(0, frames - 1, slow.shape[2]).astype(int) if frames > 1 else [0]
    assert torch.equal(slow, video[:, :, list(expected)])
    assert [x.shape[2] for x in joined] == [slow.shape[2], frames]


def test_a_stage_of_slowfast_can_be_run_again_on_the_same_input():
    model = build_model("slowfast_r50", NUM_CLASSES, **SMALL["slowfast_r50"]).eval()
    pathways = [torch.randn(1, 3, 2, 32, 32), torch.randn(1, 3, 8, 32, 32)]
    with torch.no_grad():
        for block in model.blocks:
            first, again = block(pathways), block(pathways)
            assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
            pathways = first


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mvit_b"])
@pytest.mark.parametrize("zero", [True, False])
def test_residual_blocks_begin_as_identity_if_wanted(name, zero):
    model = build_model(name, NUM_CLASSES, **{**SMALL[name], "zero_init_final_bn": zero})
    last = [p for key, p in model.named_parameters() if key.endswith("branch2.norm_c.weight")]
    assert len(last) >= 4
    assert all(weight.eq(0 if zero else 1).all() for weight in last)


def test_drop_path_acts_in_training_only_and_rises_towards_the_end():
    torch.manual_seed(0)
    model = build_model("mvit_b", NUM_CLASSES, **SMALL["mvit_b"], drop_path_rate=0.3)
    rates = [block.drop_path.drop_prob for block in model.blocks[1:]]
    assert rates == pytest.approx([0.3 * index / 15 for index in range(1, 16)])
    video = torch.randn(8, 3, 4, 32, 32)
    with torch.no_grad():
        assert not torch.equal(model.train()(video), model(video))
        assert torch.equal(model.eval()(video), model(video))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slowfast_r50", {"beta_inv": 7}, "beta_inv must divide width 64, got 7"),
        ("mvit_b", {"num_frames": 15}, "num_frames must be even, got 15"),
        ("mvit_b", {"crop_size": 225}, "crop_size must be a multiple of 4, got 225"),
        ("mvit_b", {"embed_dim": 7}, "embed_dim must be >= 8, got 7"),
    ],
)
def test_options_that_make_no_network_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        BACKBONES.get(name).Options(**options)


RUN = f"""
import sys, torch
from models.small import SMALL
from cdb_video.models import build_model
from cdb_video.registry import BACKBONES
BACKBONES.names()
assert not [name for name in sys.modules if name.startswith("pytorchvideo")], "not lazy"
for name in {NAMES}:
    model = build_model(name, 2, **SMALL[name]).eval()
    size = model.input_format.size if model.fixed_input else 32
    assert model(torch.zeros(1, 3, 4, size, size)).shape == (1, 2)
print(sys.modules["pytorchvideo.models.head"].RoIAlign)
try:
    import torchvision
    print(torchvision.__file__)
except Exception as error:
    print(type(error).__name__, error)
"""
BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")'
MISSING = "raise ModuleNotFoundError(\"No module named 'torchvision'\")"


@pytest.mark.parametrize(
    ("files", "align", "after"),
    [
        ({"__init__.py": MISSING}, "None", "ModuleNotFoundError No module named 'torchvision'"),
        ({"__init__.py": BROKEN}, "None", "RuntimeError operator torchvision::nms does not exist"),
        ({"__init__.py": "", "ops.py": BROKEN}, "None", "__init__.py"),
        ({"__init__.py": "", "ops.py": "RoIAlign = 'a working one'"}, "a working", "__init__.py"),
    ],
    ids=["missing", "broken", "broken operators", "working"],
)
def test_torchvision_is_not_needed_and_never_imitated(tmp_path, files, align, after):
    package = tmp_path / "torchvision"
    package.mkdir()
    for name, text in files.items():
        (package / name).write_text(text)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    printed_align, printed_after = done.stdout.splitlines()
    assert printed_align.startswith(align)
    assert printed_after.endswith(after)


def test_an_x3d_of_pyslowfast_computes_the_same(tmp_path):
    """Its shortcut of the first block has a batch norm, which has no place here."""
    options = {**dict(SMALL["x3d_xs"]), "zero_init_final_bn": False}
    reference = build_model("x3d_xs", 3, **options)
    norm = nn.BatchNorm3d(reference.blocks[1].res_blocks[0].branch1_conv.out_channels)
    reference.blocks[1].res_blocks[0].branch1_norm = norm
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    torch.save(reference.state_dict(), tmp_path / "x3d.pyth")
    model = build_model("x3d_xs", 3, **options).eval()
    report = load_weights(model, tmp_path / "x3d.pyth")
    assert (report.unexpected, report.missing, report.mismatched) == ([], [], [])
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model(clips), reference.eval()(clips), atol=1e-5, rtol=1e-5)
