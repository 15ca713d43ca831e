"""No mixing."""

from dataclasses import dataclass

from torch import Tensor

from cdb_video.mixing.base import Mixer
from cdb_video.registry import MIXERS


@MIXERS.register("none")
class NoMixing(Mixer):
    """Changes nothing."""

    levels = ("feature",)  # clips stay uint8 until the network normalises them
    gives_shares = False

    @dataclass(frozen=True)
    class Options:
        """``none`` has no options."""

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, labels
