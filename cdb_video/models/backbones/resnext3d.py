"""3D ResNeXt: a residual network of grouped 3x3x3 convolutions.

Architecture: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017,
in the 3D form of Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and
ImageNet?", CVPR 2018. Parameters are named as in the Kinetics checkpoints of the latter.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from cdb_video.config.types import PositiveInt
from cdb_video.models.layers.residual import BOTTLENECKS, Bottleneck
from cdb_video.models.layers.residual3d import Residual3D
from cdb_video.registry import BACKBONES

EXPANSION = 2
"""Output channels of a block, as a multiple of its inner channels."""


@BACKBONES.register("resnext3d")
class ResNeXt3D(Residual3D):
    """3D ResNeXt: a residual network of grouped 3x3x3 convolutions.

    Stem, four stages of bottlenecks, global average; any T, H, W >= 1.
    """

    @dataclass(frozen=True)
    class Options(Residual3D.Options):
        """The defaults are the 3D-ResNeXt-101 (32 groups, shortcut B) of Hara et al."""

        depth: Literal[50, 101, 152] = 101
        """Number of layers. It has no effect where STAGE_BLOCKS is given."""
        cardinality: PositiveInt = 32
        """Groups of each 3x3x3 convolution. It must divide WIDTH."""
        width: PositiveInt = 128
        """Inner channels of the first stage, an even number. They double at every stage. The stem
        has half as many, the feature vector 16 times as many."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            super().__post_init__()
            if self.depth not in BOTTLENECKS:
                raise ValueError(f"depth must be one of {(*BOTTLENECKS,)}, got {self.depth}")
            if self.width < 2 or self.width % 2:
                raise ValueError(f"width must be even and >= 2, got {self.width}")
            if self.cardinality < 1 or self.width % self.cardinality:
                raise ValueError(
                    f"cardinality must divide width {self.width}, got {self.cardinality}"
                )

    def __init__(self, options: Options) -> None:
        block = partial(
            Bottleneck, dims=3, shortcut=options.shortcut, cardinality=options.cardinality
        )
        super().__init__(
            options,
            block,
            BOTTLENECKS[options.depth],
            stem=options.width // 2,
            inner=options.width,
            out_channels=EXPANSION * options.width,
        )
