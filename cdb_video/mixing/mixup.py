"""Mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018)."""

from dataclasses import dataclass

from torch import Tensor

from cdb_video.config.types import PositiveFloat
from cdb_video.mixing.base import Mixer, beta, blend
from cdb_video.registry import MIXERS


@MIXERS.register("mixup")
class Mixup(Mixer):
    """Blends each clip and its label with another: ``x = a x_i + (1 - a) x_j``.

    Each batch has one a ~ Beta(alpha, alpha). The partners are the batch in reverse, as in
    PySlowFast.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``mixup``."""

        alpha: PositiveFloat = 0.8
        """Parameter of the Beta distribution, > 0. The smaller it is, the nearer a mix is to one of
        its two clips."""

    options: Options

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share, target = beta(self.options.alpha), self.one_hot(labels)
        return blend(inputs, inputs.flip(0), share), blend(target, target.flip(0), share)
