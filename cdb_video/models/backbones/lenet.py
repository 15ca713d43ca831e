"""LeNet-5, frame by frame: LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
Proceedings of the IEEE 86 (11), 1998, in the form that is used today.

Today's form has ReLU in place of the scaled tanh, max pooling in place of trained averages, a
second convolution that connects all channels, and a linear classifier in place of radial basis
functions. The paper's input of 32 x 32 is MNIST's 28 x 28 with a border, which the first
convolution adds.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from cdb_video.errors import ConfigError
from cdb_video.models.backbone import InputFormat
from cdb_video.models.layers.framewise import FrameWise
from cdb_video.registry import BACKBONES

MIN_SIZE = 12
"""Smallest H and W, in pixels, that leave something to the second pooling."""


@BACKBONES.register("lenet")
class LeNet(FrameWise):
    """LeNet-5, frame by frame; any T >= 1 and H, W >= 12."""

    @dataclass(frozen=True)
    class Options:
        """LeNet has none."""

    # Mean and deviation of MNIST's pixels, 0.1307 and 0.3081 of 255.
    input_format = InputFormat(1, 28, (33.33, 33.33, 33.33), (78.57, 78.57, 78.57))
    stages = (("conv1",), ("conv2",), ("fc1",), ("fc2",))

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        # 28 x 28 pixels arrive here as 5 x 5 and stay so. Other sizes are pooled to 5 x 5.
        self.pool = nn.AdaptiveAvgPool2d(5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.num_features = 84

    def frame_features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 84).

        Raises:
            ConfigError: H or W is below 12.
        """
        height, width = frames.shape[2:]
        if min(height, width) < MIN_SIZE:
            raise ConfigError(
                f"lenet: frames must be at least {MIN_SIZE} x {MIN_SIZE} pixels, "
                f"got {height} x {width}"
            )
        x = functional.max_pool2d(functional.relu(self.conv1(frames)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(self.pool(x).flatten(1)))
        return functional.relu(self.fc2(x))
