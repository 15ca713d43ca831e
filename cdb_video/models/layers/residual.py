"""Residual blocks of 2D and 3D networks, and stages of them.

Blocks: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; with groups: Xie et
al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017. The
stride of a bottleneck is in the convolution of size 3, as in published weights.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from cdb_video.models.layers.drop_path import DropPath

BASIC_BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Depth -> blocks in each stage, for the networks of basic blocks."""
BOTTLENECKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth -> blocks in each stage, for the networks of bottlenecks."""

CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {
    2: nn.BatchNorm2d,
    3: nn.BatchNorm3d,
}


class SubsampleShortcut(nn.Module):
    """Shortcut "A": every ``stride``-th position; new channels, at the end, are zero."""

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ..., H, W) -> (B, C + extra, ..., ceil(H / stride), ceil(W / stride))."""
        axes = x.ndim - 2
        x = x[(slice(None), slice(None), *[slice(None, None, self.stride)] * axes)]
        return functional.pad(x, (*[0, 0] * axes, 0, self.extra_channels))


def _shortcut(dims: int, in_channels: int, out_channels: int, stride: int, kind: str) -> nn.Module:
    """The shortcut of a block: the identity if the shape stays."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "A":
        return SubsampleShortcut(out_channels - in_channels, stride)
    return nn.Sequential(
        CONVOLUTION[dims](in_channels, out_channels, 1, stride=stride, bias=False),
        BATCH_NORM[dims](out_channels),
    )


class BasicBlock(nn.Module):
    """Two convolutions of size 3, and a shortcut around them.

    Args:
        in_channels: channels of the input.
        inner: channels between the convolutions.
        out_channels: channels of the output.
        dims: 2 for (B, C, H, W), 3 for (B, C, T, H, W).
        shortcut: the way to change the shape, "A" or "B".
        stride: step of the first convolution along every axis.
        drop_path_rate: share of samples that skip the convolutions in training, in [0, 1).
    """

    def __init__(
        self,
        in_channels: int,
        inner: int,
        out_channels: int,
        *,
        dims: int,
        shortcut: str,
        stride: int = 1,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        conv, norm = CONVOLUTION[dims], BATCH_NORM[dims]
        self.conv1 = conv(in_channels, inner, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = conv(inner, out_channels, 3, padding=1, bias=False)
        self.bn2 = norm(out_channels)
        self.downsample = _shortcut(dims, in_channels, out_channels, stride, shortcut)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, ..., H, W) -> (B, out_channels, ..., H', W')."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(self.drop_path(y) + self.downsample(x))


class Bottleneck(nn.Module):
    """Convolutions of size 1, 3 and 1, and a shortcut around them.

    Args:
        cardinality: groups of the convolution of size 3; must divide ``inner``.
        stride: step of that convolution along every axis.
        in_channels, inner, out_channels, dims, shortcut, drop_path_rate: as in ``BasicBlock``.
    """

    def __init__(
        self,
        in_channels: int,
        inner: int,
        out_channels: int,
        *,
        dims: int,
        shortcut: str,
        cardinality: int = 1,
        stride: int = 1,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        conv, norm = CONVOLUTION[dims], BATCH_NORM[dims]
        self.conv1 = conv(in_channels, inner, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = conv(inner, inner, 3, stride=stride, padding=1, groups=cardinality, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = conv(inner, out_channels, 1, bias=False)
        self.bn3 = norm(out_channels)
        self.downsample = _shortcut(dims, in_channels, out_channels, stride, shortcut)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, ..., H, W) -> (B, out_channels, ..., H', W')."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(self.drop_path(y) + self.downsample(x))


def make_stages(
    block: Callable[..., nn.Module],
    counts: Sequence[int],
    *,
    stem: int,
    inner: int,
    out_channels: int,
    drop_path_rate: float,
) -> list[nn.Sequential]:
    """Stages of residual blocks. Each next stage doubles the channels and halves every axis.

    Args:
        block: a block class with the arguments that all blocks share.
        counts: blocks of each stage.
        stem: channels of the first stage's input.
        inner: channels inside the blocks of the first stage.
        out_channels: channels of the first stage's output.
        drop_path_rate: that of the last block, in [0, 1); block l of L has l / L of it.
    """
    stages, in_channels, total, made = [], stem, sum(counts), 0
    for stage, count in enumerate(counts):
        blocks = []
        for position in range(count):
            made += 1
            blocks.append(
                block(
                    in_channels,
                    inner << stage,
                    out_channels << stage,
                    stride=2 if stage and not position else 1,
                    drop_path_rate=drop_path_rate * made / total,
                )
            )
            in_channels = out_channels << stage
        stages.append(nn.Sequential(*blocks))
    return stages


def initialise(network: nn.Module) -> None:
    """He et al. 2015: variance 2 / fan-out for convolutions; batch norm starts as identity."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
