"""The common part of ``resnet3d`` and ``resnext3d``: everything but the channels.

Architecture: Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and
ImageNet?", CVPR 2018. Parameters are named as in its public Kinetics checkpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from cdb_video.config.types import FractionBelowOne, PositiveInt
from cdb_video.models.backbone import Backbone
from cdb_video.models.layers.residual import initialise, make_stages


class Residual3D(Backbone):
    """Stem, four stages of residual blocks, global average; any T, H, W >= 1.

    Args:
        options: the common options.
        block: a block class with the arguments that all blocks share.
        counts: blocks of each stage, unless ``options`` give them.
        stem: channels of the stem.
        inner: channels inside the blocks of the first stage; they double at every stage.
        out_channels: channels of the first stage's output; they double at every stage.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of all 3D residual networks."""

        shortcut: Literal["A", "B"] = "B"
        """Shortcut of a block that changes the shape. "B" learns a 1x1x1 convolution. "A"
        subsamples and pads with zero channels. The public Kinetics checkpoints of ResNet-18 and -34
        have "A"."""
        stage_blocks: tuple[PositiveInt, ...] = ()
        """Blocks in each of the four stages, such as [1, 1, 1, 1] for a small network. Empty takes
        the numbers that belong to DEPTH."""
        stem_kernel: tuple[PositiveInt, PositiveInt, PositiveInt] = (7, 7, 7)
        """Size (T, H, W) of the first convolution, odd numbers. A smaller one costs less on small
        clips."""
        stem_stride: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2)
        """Stride (T, H, W) of the first convolution. [1, 1, 1] keeps the detail of small frames."""
        stem_pool_stride: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 2, 2)
        """Stride (T, H, W) of the 3x3x3 max pooling after the first convolution. [1, 2, 2] keeps
        all time steps."""
        drop_path_rate: FractionBelowOne = 0.0
        """Share of clips that skip the last block in training, in [0, 1). It rises linearly from
        block to block (stochastic depth)."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            if self.shortcut not in ("A", "B"):
                raise ValueError(f"shortcut must be 'A' or 'B', got {self.shortcut!r}")
            if self.stage_blocks and (len(self.stage_blocks) != 4 or min(self.stage_blocks) < 1):
                raise ValueError(
                    f"stage_blocks must be empty or 4 numbers >= 1, got {self.stage_blocks}"
                )
            if any(size % 2 == 0 for size in self.stem_kernel):
                raise ValueError(f"stem_kernel must be 3 odd numbers, got {self.stem_kernel}")

    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

    def __init__(
        self,
        options: Options,
        block: Callable[..., nn.Module],
        counts: Sequence[int],
        *,
        stem: int,
        inner: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(
            3,
            stem,
            options.stem_kernel,
            stride=options.stem_stride,
            padding=tuple(size // 2 for size in options.stem_kernel),  # type: ignore[arg-type]
            bias=False,
        )
        self.bn1 = nn.BatchNorm3d(stem)
        self.maxpool = nn.MaxPool3d(3, stride=options.stem_pool_stride, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = make_stages(
            block,
            options.stage_blocks or counts,
            stem=stem,
            inner=inner,
            out_channels=out_channels,
            drop_path_rate=options.drop_path_rate,
        )
        self.num_features = 8 * out_channels
        initialise(self)

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, T, H, W)."""
        x: Tensor = self.maxpool(functional.relu(self.bn1(self.conv1(video))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean(dim=(2, 3, 4))
