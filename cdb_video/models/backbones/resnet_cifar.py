"""The small ResNets for CIFAR, frame by frame.

Architecture: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2:
three stages of basic blocks with 16, 32 and 64 channels, and shortcuts without parameters.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from cdb_video.config.types import FractionBelowOne, PositiveInt
from cdb_video.models.backbone import InputFormat
from cdb_video.models.layers.framewise import FrameWise
from cdb_video.models.layers.residual import BasicBlock, initialise, make_stages
from cdb_video.registry import BACKBONES


@BACKBONES.register("resnet_cifar")
class ResNetCIFAR(FrameWise):
    """Small ResNet for CIFAR images, frame by frame.

    3x3 convolution, three stages of basic blocks, global average; any T, H, W >= 1.
    """

    @dataclass(frozen=True)
    class Options:
        """The defaults are the ResNet-32 of the long-tailed CIFAR benchmarks."""

        depth: PositiveInt = 32
        """Number of layers, 6n + 2 with n blocks in each stage. The paper has 20, 32, 44, 56 and
        110."""
        width: PositiveInt = 16
        """Channels of the first stage. They double at every stage."""
        drop_path_rate: FractionBelowOne = 0.0
        """Share of frames that skip the last block in training, in [0, 1). It rises linearly from
        block to block (stochastic depth)."""

        def __post_init__(self) -> None:
            """Raises ``ValueError`` for options that do not make a network."""
            if self.depth < 8 or self.depth % 6 != 2:
                raise ValueError(f"depth must be 6n + 2 with n >= 1, got {self.depth}")

    # Mean and deviation of CIFAR-10's pixels, as given by Zagoruyko and Komodakis, "Wide Residual
    # Networks", BMVC 2016, with their code.
    input_format = InputFormat(1, 32, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",))

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, options.width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(options.width)
        self.layer1, self.layer2, self.layer3 = make_stages(
            partial(BasicBlock, dims=2, shortcut="A"),
            [(options.depth - 2) // 6] * 3,
            stem=options.width,
            inner=options.width,
            out_channels=options.width,
            drop_path_rate=options.drop_path_rate,
        )
        self.num_features = 4 * options.width
        initialise(self)

    def frame_features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_features)."""
        x: Tensor = functional.relu(self.bn1(self.conv1(frames)))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
        return x.mean(dim=(2, 3))
