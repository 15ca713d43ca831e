"""3D ResNet and wide 3D ResNet.

Architecture: Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and
ImageNet?", CVPR 2018. Parameters are named as in its public Kinetics checkpoints.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from cdb_video.config.types import PositiveInt
from cdb_video.models.backbone import InputFormat
from cdb_video.models.layers.residual import BASIC_BLOCKS, BOTTLENECKS, BasicBlock, Bottleneck
from cdb_video.models.layers.residual3d import Residual3D
from cdb_video.registry import BACKBONES


@BACKBONES.register("resnet3d")
class ResNet3D(Residual3D):
    """3D ResNet, plain or wide.

    Stem, four stages of basic blocks or bottlenecks, global average; any T, H, W >= 1.
    """

    @dataclass(frozen=True)
    class Options(Residual3D.Options):
        """The defaults are the 3D-ResNet-50 (shortcut B) of Hara et al.; its WideResNet-50 has
        ``width_multiplier`` 2 and ``expansion`` 2."""

        depth: Literal[10, 18, 34, 50, 101, 152] = 50
        """Number of layers. 10, 18 and 34 have basic blocks, the others bottlenecks."""
        width: PositiveInt = 64
        """Channels of the stem."""
        width_multiplier: PositiveInt = 1
        """Inner channels of the first stage, as a multiple of WIDTH. They double at every stage."""
        expansion: PositiveInt = 4
        """Output channels of a bottleneck, as a multiple of its inner channels. It has no effect on
        basic blocks, which have as many."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            super().__post_init__()
            depths = (*BASIC_BLOCKS, *BOTTLENECKS)
            if self.depth not in depths:
                raise ValueError(f"depth must be one of {depths}, got {self.depth}")

    input_format = InputFormat(16, 112, (114.7748, 107.7354, 99.4750), (1.0, 1.0, 1.0))

    def __init__(self, options: Options) -> None:
        basic = options.depth in BASIC_BLOCKS
        inner = options.width * options.width_multiplier
        super().__init__(
            options,
            partial(BasicBlock if basic else Bottleneck, dims=3, shortcut=options.shortcut),
            (BASIC_BLOCKS | BOTTLENECKS)[options.depth],
            stem=options.width,
            inner=inner,
            out_channels=inner if basic else options.expansion * inner,
        )
