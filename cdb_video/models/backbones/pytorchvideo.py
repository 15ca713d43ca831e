"""The networks of PyTorchVideo's model zoo, with the contract of our backbones.

Parameters are named as in PyTorchVideo's hub checkpoints. The head is ours. Only
``pytorchvideo.models`` is imported, when the first network is built.
"""

import importlib
import operator
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cdb_video.config.types import FractionBelowOne, PositiveFloat, PositiveInt
from cdb_video.errors import ConfigError
from cdb_video.models.backbone import Backbone, InputFormat
from cdb_video.models.weights.folding import without_shortcut_norms
from cdb_video.models.weights.pyslowfast_names import (
    MVIT_NAMES,
    RESNET_NAMES,
    SLOWFAST_NAMES,
    X3D_NAMES,
    Rules,
    named_as_here,
)
from cdb_video.registry import BACKBONES


def _clips(num_frames: int, size: int) -> InputFormat:
    """The input format of the model zoo: mean 0.45 and standard deviation 0.225 of [0, 1]."""
    return InputFormat(num_frames, size, (0.45 * 255,) * 3, (0.225 * 255,) * 3)


def _create(builder: str, **settings: Any) -> Any:
    """The network that ``pytorchvideo.models.<builder>`` makes."""
    module, function = f"pytorchvideo.models.{builder}".rsplit(".", 1)
    try:
        models = importlib.import_module(module)
    except Exception:  # a torchvision for another torch can raise anything
        with _stand_in_for_torchvision():
            models = importlib.import_module(module)
    return getattr(models, function)(**settings)


@contextmanager
def _stand_in_for_torchvision() -> Iterator[None]:
    """Replaces ``torchvision.ops.RoIAlign``, which only PyTorchVideo's detection head uses."""
    stand_ins = {name: ModuleType(name) for name in ("torchvision", "torchvision.ops")}
    stand_ins["torchvision.ops"].__dict__["RoIAlign"] = None
    before = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(before)


class _Blocks(Backbone):
    """Convolutional ``blocks`` one after another, then a global average; any T, H, W >= 1."""

    stages = tuple((f"blocks.{index}",) for index in range(5))
    names: ClassVar[Rules] = RESNET_NAMES

    def __init__(self, blocks: nn.ModuleList, num_features: int, zero_init_final_bn: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.num_features = num_features
        for module in blocks.modules():
            if hasattr(module, "block_final_bn") and not zero_init_final_bn:
                nn.init.ones_(module.weight)  # type: ignore[arg-type]

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, T, H, W)."""
        x = video
        for block in self.blocks:
            x = block(x)
        return x.mean(dim=(2, 3, 4))

    @classmethod
    def local_name(cls, name: str) -> str:
        """Reads names of PyTorchVideo's hub and of PySlowFast."""
        name = named_as_here(name, cls.names)
        stage = re.match(r"s([1-5])\.", name)
        return f"{cls.stages[int(stage[1]) - 1][0]}{name[2:]}" if stage else name


class _ResNet(_Blocks):
    """A stem and four stages of bottlenecks."""

    @dataclass(frozen=True)
    class Options:
        """The defaults are the published network."""

        width: PositiveInt = 64
        """Channels of the stem. The feature vector has 32 times as many."""
        zero_init_final_bn: bool = True
        """Start the last batch norm of every residual block at 0, so that each block begins as the
        identity (Goyal et al., "Accurate, Large Minibatch SGD", 2017)."""

    builder: ClassVar[str] = "resnet.create_resnet"
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, options: Options) -> None:
        network = _create(
            self.builder, stem_dim_out=options.width, model_num_class=1, **self.settings
        )
        super().__init__(network.blocks[:-1], 32 * options.width, options.zero_init_final_bn)


@BACKBONES.register("slow_r50")
class SlowR50(_ResNet):
    """The slow pathway of SlowFast, alone: temporal kernels in the last two stages only."""

    input_format = _clips(8, 224)
    settings = {"stem_conv_kernel_size": (1, 7, 7)}


class _PooledInTime(_ResNet):
    """Halves the frames after the first stage. An odd last frame stays."""

    input_format = _clips(8, 224)
    stages = tuple((f"blocks.{index}",) for index in (0, 1, 3, 4, 5))

    @staticmethod
    def pool(kernel_size: tuple[int, ...], **settings: Any) -> nn.Module:
        """(B, C, T, H, W) -> (B, C, ceil(T / 2), H, W); the published one drops an odd frame."""
        return nn.MaxPool3d(kernel_size, ceil_mode=True, **settings)


@BACKBONES.register("c2d_r50")
class C2DR50(_PooledInTime):
    """A 2D ResNet-50 on frames, joined by one max pooling in time (Wang et al., CVPR 2018)."""

    settings = {
        "stem_conv_kernel_size": (1, 7, 7),
        "stage1_pool": _PooledInTime.pool,
        "stage_conv_a_kernel_size": ((1, 1, 1),) * 4,
    }


@BACKBONES.register("i3d_r50")
class I3DR50(_PooledInTime):
    """An inflated ResNet-50 (Carreira and Zisserman, CVPR 2017; Wang et al., CVPR 2018)."""

    settings = {
        "stem_conv_kernel_size": (5, 7, 7),
        "stage1_pool": _PooledInTime.pool,
        "stage_conv_a_kernel_size": (
            (3, 1, 1),
            [(3, 1, 1), (1, 1, 1)],
            [(3, 1, 1), (1, 1, 1)],
            [(1, 1, 1), (3, 1, 1)],
        ),
    }


@BACKBONES.register("r2plus1d_r50")
class R2Plus1DR50(_ResNet):
    """R(2+1)D: each 3x3x3 convolution as one in time and one in space (Tran et al., CVPR 2018)."""

    input_format = _clips(16, 224)
    builder = "r2plus1d.create_r2plus1d"


@BACKBONES.register("csn_r101")
class CSNR101(_ResNet):
    """Channel-separated network: depthwise 3x3x3 convolutions (Tran et al., ICCV 2019)."""

    input_format = _clips(32, 224)
    builder = "csn.create_csn"
    settings = {"model_depth": 101, "stem_pool": nn.MaxPool3d}


@BACKBONES.register("slowfast_r50")
class SlowFastR50(_Blocks):
    """SlowFast: a wide pathway on few frames, a narrow one on all (Feichtenhofer et al., 2019).

    They are joined after every stage. The frames are split here.
    """

    @dataclass(frozen=True)
    class Options(_ResNet.Options):
        """The defaults are the published network, SlowFast 8x8."""

        alpha: PositiveInt = 4
        """The slow pathway sees one in ALPHA frames, evenly spread. The fast pathway sees all."""
        beta_inv: PositiveInt = 8
        """The fast pathway has WIDTH / BETA_INV channels. BETA_INV must divide WIDTH. The feature
        vector joins both pathways."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            if self.width % self.beta_inv:
                raise ValueError(f"beta_inv must divide width {self.width}, got {self.beta_inv}")

    input_format = _clips(32, 224)
    names = SLOWFAST_NAMES

    def __init__(self, options: Options) -> None:
        fast = options.width // options.beta_inv
        network = _create(
            "slowfast.create_slowfast",
            slowfast_channel_reduction_ratio=options.beta_inv,
            slowfast_fusion_conv_stride=(options.alpha, 1, 1),
            stem_dim_outs=(options.width, fast),
            head=None,
        )
        blocks = network.blocks[:-1]
        for block in blocks:
            block.inplace = False  # activation checkpointing runs a block again and needs its input
        super().__init__(blocks, 32 * (options.width + fast), options.zero_init_final_bn)
        self.alpha = options.alpha

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, T, H, W); the slow pathway and the strided
        convolution that joins it have ceil(T / alpha) frames each."""
        last, count = video.shape[2] - 1, -(-video.shape[2] // self.alpha)
        # From the first frame to the last in equal steps, as in the published training.
        slow = [index * last // max(count - 1, 1) for index in range(count)]
        pathways = [video[:, :, slow], video]
        for block in self.blocks:
            pathways = block(pathways)
        return torch.cat([x.mean(dim=(2, 3, 4)) for x in pathways], dim=1)


class _X3D(_Blocks):
    """X3D: a 2D network expanded step by step (Feichtenhofer, CVPR 2020).

    PySlowFast's own X3D has a batch norm on its first shortcut, which is folded in as it is loaded.
    """

    @dataclass(frozen=True)
    class Options:
        """The defaults are the published network."""

        width_factor: PositiveFloat = 2.0
        """Channels, as a multiple of 12 in the stem and 12, 24, 48, 96 in the stages."""
        depth_factor: PositiveFloat = 2.2
        """Blocks, as a multiple of 1, 2, 5, 3 in the stages, rounded up."""
        zero_init_final_bn: bool = True
        """Start the last batch norm of every residual block at 0, so that each block begins as the
        identity (Goyal et al., "Accurate, Large Minibatch SGD", 2017)."""

    stages = tuple((f"blocks.{index}",) for index in range(6))
    names = X3D_NAMES

    def __init__(self, options: Options) -> None:
        network = _create(
            "x3d.create_x3d",
            width_factor=options.width_factor,
            depth_factor=options.depth_factor,
            inner_act=nn.SiLU,
        )
        for module in network.modules():
            if hasattr(module, "branch_fusion"):
                module.branch_fusion = operator.add  # as theirs, which cannot be pickled
        head = network.blocks[-1]
        head.pool.pool = nn.AdaptiveAvgPool3d(1)
        head.dropout = head.proj = head.activation = head.output_pool = None
        num_features = head.pool.post_conv.out_channels
        super().__init__(network.blocks, num_features, options.zero_init_final_bn)

    def folded(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Without the batch norms of shortcuts that have none here."""
        return without_shortcut_norms(tensors, self.state_dict().keys())


@BACKBONES.register("x3d_xs")
class X3DXS(_X3D):
    """X3D, extra small: expanded step by step from a 2D network (Feichtenhofer, CVPR 2020)."""

    input_format = _clips(4, 160)


@BACKBONES.register("x3d_s")
class X3DS(_X3D):
    """X3D, small: X3D-XS on more frames."""

    input_format = _clips(13, 160)


@BACKBONES.register("x3d_m")
class X3DM(_X3D):
    """X3D, medium: X3D-XS on more and larger frames."""

    input_format = _clips(16, 224)


@BACKBONES.register("x3d_l")
class X3DL(_X3D):
    """X3D, large: deeper than X3D-M, and on larger frames."""

    @dataclass(frozen=True)
    class Options(_X3D.Options):
        """The defaults are the published network."""

        depth_factor: PositiveFloat = 5.0
        """Blocks, as a multiple of 1, 2, 5, 3 in the stages, rounded up."""

    input_format = _clips(16, 312)


@BACKBONES.register("mvit_b")
class MViTB(Backbone):
    """Multiscale vision transformer, base size (Fan et al., ICCV 2021).

    The feature vector is the normalised class token.
    """

    @dataclass(frozen=True)
    class Options:
        """The defaults are the published MViT-B 16x4."""

        num_frames: PositiveInt = 16
        """Frames of a clip, T, an even number. 16 is the published MViT-B 16x4, 32 the published
        32x3."""
        crop_size: PositiveInt = 224
        """Height and width of a clip, H and W, a multiple of 4."""
        embed_dim: PositiveInt = 96
        """Channels of the patches, at least 8. The feature vector has 8 times as many."""
        drop_path_rate: FractionBelowOne = 0.0
        """Share of clips that skip the last block in training. It falls to 0 at the first block
        (stochastic depth). The published networks were trained with 0.2 (16x4) and 0.3 (32x3)."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            if self.num_frames < 2 or self.num_frames % 2:
                raise ValueError(f"num_frames must be even, got {self.num_frames}")
            if self.crop_size < 4 or self.crop_size % 4:
                raise ValueError(f"crop_size must be a multiple of 4, got {self.crop_size}")
            if self.embed_dim < 8:
                raise ValueError(f"embed_dim must be >= 8, got {self.embed_dim}")

    input_format = _clips(16, 224)
    fixed_input = True
    token_map = "patch_embed.patch_model"
    stages = (
        ("patch_embed", "cls_positional_encoding"),
        *((f"blocks.{index}",) for index in range(15)),
        ("blocks.15", "norm_embed"),
    )

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.input_format = _clips(options.num_frames, options.crop_size)
        doubled = [[1, 2.0], [3, 2.0], [14, 2.0]]
        with torch.device("cpu"):  # the builder computes with tensors, not possible on "meta"
            network = _create(
                "vision_transformers.create_multiscale_vision_transformers",
                spatial_size=options.crop_size,
                temporal_size=options.num_frames,
                patch_embed_dim=options.embed_dim,
                droppath_rate_block=options.drop_path_rate,
                embed_dim_mul=doubled,
                atten_head_mul=doubled,
                pool_q_stride_size=[[1, 1, 2, 2], [3, 1, 2, 2], [14, 1, 2, 2]],
                pool_kv_stride_adaptive=[1, 8, 8],
                pool_kvq_kernel=[3, 3, 3],
                head=None,
            )
        network.to(torch.get_default_device())
        self.patch_embed = network.patch_embed
        self.cls_positional_encoding = network.cls_positional_encoding
        self.blocks = network.blocks
        self.norm_embed = network.norm_embed
        self.num_features: int = self.norm_embed.normalized_shape[0]

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, num_frames, crop_size, crop_size).

        Raises:
            ConfigError: clips of another size.
        """
        frames, size = self.input_format.num_frames, self.input_format.size
        if video.shape[2:] != (frames, size, size):
            got = "{} frames of {} x {}".format(*video.shape[2:])
            raise ConfigError(
                f"mvit_b takes clips of {frames} frames of {size} x {size} pixels (its options "
                f"num_frames and crop_size), got {got}"
            )
        x = self.cls_positional_encoding(self.patch_embed(video))
        shape = self.cls_positional_encoding.patch_embed_shape
        for block in self.blocks:
            x, shape = block(x, shape)
        features: Tensor = self.norm_embed(x[:, 0])
        return features

    @staticmethod
    def local_name(name: str) -> str:
        """Reads names of PyTorchVideo's hub and of PySlowFast, but no PySlowFast network with
        ``qkv`` in one tensor or with one ``pos_embed`` for space and time."""
        return named_as_here(name, MVIT_NAMES)
