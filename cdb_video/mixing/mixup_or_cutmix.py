"""Mixup or CutMix for each batch, as in PySlowFast."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cdb_video.config.types import Fraction, PositiveFloat
from cdb_video.mixing.base import Mixer
from cdb_video.mixing.cutmix import CutMix
from cdb_video.mixing.mixup import Mixup
from cdb_video.registry import MIXERS


@MIXERS.register("mixup_or_cutmix")
class MixupOrCutMix(Mixer):
    """Either ``mixup`` or ``cutmix``, drawn for each batch."""

    levels = ("input",)

    @dataclass(frozen=True)
    class Options:
        """Options of ``mixup_or_cutmix``; the defaults are PySlowFast's."""

        mixup_alpha: PositiveFloat = 0.8
        """ALPHA of ``mixup``."""
        cutmix_alpha: PositiveFloat = 1.0
        """ALPHA of ``cutmix``."""
        cutmix_share: Fraction = 0.5
        """Share of the batches that are mixed by ``cutmix``, in [0, 1]."""

    options: Options

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        self._mixup = Mixup(Mixup.Options(options.mixup_alpha), **context)
        self._cutmix = CutMix(CutMix.Options(options.cutmix_alpha), **context)

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        chosen = self._cutmix if torch.rand(()) < self.options.cutmix_share else self._mixup
        mixed: tuple[Tensor, Tensor] = chosen(inputs, labels)
        return mixed
