"""2D ResNet and ResNeXt, frame by frame.

Architecture: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, and Xie et al.,
"Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017. Parameters are named as
in torchvision's ImageNet weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from cdb_video.config.types import FractionBelowOne, PositiveInt
from cdb_video.models.backbone import InputFormat
from cdb_video.models.layers.framewise import FrameWise
from cdb_video.models.layers.residual import (
    BASIC_BLOCKS,
    BOTTLENECKS,
    BasicBlock,
    Bottleneck,
    initialise,
    make_stages,
)
from cdb_video.registry import BACKBONES

EXPANSION = 4
"""Output channels of a bottleneck's stage, as a multiple of those of a basic block's."""


@BACKBONES.register("resnet2d")
class ResNet2D(FrameWise):
    """2D ResNet or ResNeXt, frame by frame.

    Stem, four stages of basic blocks or bottlenecks, global average; any T, H, W >= 1.
    """

    @dataclass(frozen=True)
    class Options:
        """The defaults are ResNet-50; ResNeXt-50 32x4d has ``cardinality`` 32 and
        ``width_per_group`` 4."""

        depth: Literal[10, 18, 34, 50, 101, 152] = 50
        """Number of layers. 10, 18 and 34 have basic blocks, the others bottlenecks."""
        width: PositiveInt = 64
        """Channels of the stem and of the first stage of basic blocks. They double at every stage.
        The feature vector has 8 times as many, with bottlenecks 32 times."""
        cardinality: PositiveInt = 1
        """Groups of each 3x3 convolution. Only bottlenecks have them."""
        width_per_group: PositiveInt = 64
        """Inner channels of each group in the first stage. They double at every stage. It has no
        effect on basic blocks."""
        drop_path_rate: FractionBelowOne = 0.0
        """Share of frames that skip the last block in training, in [0, 1). It rises linearly from
        block to block (stochastic depth)."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            depths = (*BASIC_BLOCKS, *BOTTLENECKS)
            if self.depth not in depths:
                raise ValueError(f"depth must be one of {depths}, got {self.depth}")
            if self.depth in BASIC_BLOCKS and self.cardinality != 1:
                raise ValueError(
                    f"cardinality must be 1 with the basic blocks of depth {self.depth}, "
                    f"got {self.cardinality}"
                )

    input_format = InputFormat(1, 224, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.width
        block: Callable[..., nn.Module] = BasicBlock
        inner = out_channels = width
        if options.depth in BOTTLENECKS:
            block = partial(Bottleneck, cardinality=options.cardinality)
            inner = options.cardinality * options.width_per_group
            out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = make_stages(
            partial(block, dims=2, shortcut="B"),
            (BASIC_BLOCKS | BOTTLENECKS)[options.depth],
            stem=width,
            inner=inner,
            out_channels=out_channels,
            drop_path_rate=options.drop_path_rate,
        )
        self.num_features = 8 * out_channels
        initialise(self)

    def frame_features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_features)."""
        x: Tensor = self.maxpool(functional.relu(self.bn1(self.conv1(frames))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean(dim=(2, 3))
