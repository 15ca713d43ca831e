"""3D ResNeXt: a residual network of grouped 3x3x3 convolutions.

Architecture: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017,
in the 3D form of Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and
ImageNet?", CVPR 2018. Parameters are named as in the Kinetics checkpoints of the latter.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from cdb_video.models.backbone import Backbone
from cdb_video.option_types import PositiveInt
from cdb_video.registry import BACKBONES

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 2
"""Output channels of a block, as a multiple of its inner channels."""


class SubsampleShortcut(nn.Module):
    """Shortcut "A": every ``stride``-th position, new channels zero; nothing to learn."""

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C + extra, ceil(T / stride), ceil(H / stride), ...)."""
        x = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, 0, 0, self.extra_channels))


class Bottleneck(nn.Module):
    """1x1x1 convolution, grouped 3x3x3 convolution, 1x1x1 convolution, and a shortcut around them.

    Args:
        in_channels: channels of the input.
        planes: inner channels; the block gives ``EXPANSION * planes``.
        cardinality: groups of the 3x3x3 convolution.
        stride: step of the 3x3x3 convolution in T, H and W.
        shortcut: how the input is brought to another shape, "A" or "B".
    """

    def __init__(
        self, in_channels: int, planes: int, cardinality: int, stride: int, shortcut: str
    ) -> None:
        super().__init__()
        out_channels = EXPANSION * planes
        self.conv1 = nn.Conv3d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(
            planes, planes, 3, stride=stride, padding=1, groups=cardinality, bias=False
        )
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = nn.Conv3d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if shortcut == "B" and (stride != 1 or in_channels != out_channels):
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm3d(out_channels),
            )
        elif shortcut == "A":
            self.downsample = SubsampleShortcut(out_channels - in_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, EXPANSION * planes, T', H', W')."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + self.downsample(x))


@BACKBONES.register("resnext3d")
class ResNeXt3D(Backbone):
    """3D ResNeXt: a residual network of grouped 3x3x3 convolutions.

    Stem, four stages of bottlenecks, global average; any T, H, W >= 1.
    """

    @dataclass(frozen=True)
    class Options:
        """The defaults are the 3D-ResNeXt-101 (32 groups, shortcut B) of Hara et al."""

        depth: Literal[50, 101, 152] = 101
        """Number of layers; without effect where ``stage_blocks`` is given."""
        cardinality: PositiveInt = 32
        """Groups of each 3x3x3 convolution; must divide ``width``."""
        shortcut: Literal["A", "B"] = "B"
        """Where a block changes the shape: "B" learns a 1x1x1 convolution, "A" subsamples and
        pads with zero channels."""
        width: PositiveInt = 128
        """Inner channels of the first stage, even; they double at every stage. The stem has half
        as many, the feature vector 16 times as many."""
        stage_blocks: tuple[PositiveInt, ...] = ()
        """Bottlenecks in each of the four stages, such as [1, 1, 1, 1] for a small network; empty:
        the numbers that belong to ``depth``."""
        stem_kernel: tuple[PositiveInt, PositiveInt, PositiveInt] = (7, 7, 7)
        """Size (T, H, W) of the first convolution, odd; smaller costs less on small clips."""
        stem_stride: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2)
        """Step (T, H, W) of the first convolution; [1, 1, 1] keeps the detail of small frames."""
        stem_pool_stride: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 2, 2)
        """Step (T, H, W) of the 3x3x3 max pooling after it; [1, 2, 2] keeps all time steps."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            if self.depth not in BLOCKS:
                raise ValueError(f"depth must be one of {(*BLOCKS,)}, got {self.depth}")
            if self.shortcut not in ("A", "B"):
                raise ValueError(f"shortcut must be 'A' or 'B', got {self.shortcut!r}")
            if self.width < 2 or self.width % 2:
                raise ValueError(f"width must be even and >= 2, got {self.width}")
            if self.cardinality < 1 or self.width % self.cardinality:
                raise ValueError(
                    f"cardinality must divide width {self.width}, got {self.cardinality}"
                )
            if self.stage_blocks and (len(self.stage_blocks) != 4 or min(self.stage_blocks) < 1):
                raise ValueError(
                    f"stage_blocks must be empty or 4 numbers >= 1, got {self.stage_blocks}"
                )
            if any(size % 2 == 0 for size in self.stem_kernel):
                raise ValueError(f"stem_kernel must be 3 odd numbers, got {self.stem_kernel}")

    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

    def __init__(self, options: Options) -> None:
        super().__init__()
        channels = options.width // 2
        self.conv1 = nn.Conv3d(
            3,
            channels,
            options.stem_kernel,
            stride=options.stem_stride,
            padding=tuple(size // 2 for size in options.stem_kernel),  # type: ignore[arg-type]
            bias=False,
        )
        self.bn1 = nn.BatchNorm3d(channels)
        self.maxpool = nn.MaxPool3d(3, stride=options.stem_pool_stride, padding=1)
        blocks = options.stage_blocks or BLOCKS[options.depth]
        width = options.width
        self.layer1 = _stage(channels, width, blocks[0], 1, options)
        self.layer2 = _stage(EXPANSION * width, 2 * width, blocks[1], 2, options)
        self.layer3 = _stage(EXPANSION * 2 * width, 4 * width, blocks[2], 2, options)
        self.layer4 = _stage(EXPANSION * 4 * width, 8 * width, blocks[3], 2, options)
        self.num_features = EXPANSION * 8 * width
        self._initialise()

    def _initialise(self) -> None:
        """He et al. 2015: variance 2 / fan-out for convolutions; batch norm starts as identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm3d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, T, H, W)."""
        x: Tensor = self.maxpool(functional.relu(self.bn1(self.conv1(video))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean(dim=(2, 3, 4))


def _stage(
    in_channels: int, planes: int, blocks: int, stride: int, options: ResNeXt3D.Options
) -> nn.Sequential:
    """``blocks`` bottlenecks, of which the first changes channels and resolution."""
    cardinality, shortcut = options.cardinality, options.shortcut
    layers = [Bottleneck(in_channels, planes, cardinality, stride, shortcut)]
    for _ in range(blocks - 1):
        layers.append(Bottleneck(EXPANSION * planes, planes, cardinality, 1, shortcut))
    return nn.Sequential(*layers)
