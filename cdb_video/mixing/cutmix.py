"""CutMix (Yun et al., ICCV 2019): a box of one clip is pasted into another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cdb_video.config.types import PositiveFloat
from cdb_video.mixing.base import Mixer, beta, blend
from cdb_video.registry import MIXERS


@MIXERS.register("cutmix")
class CutMix(Mixer):
    """Pastes a box of another clip into all frames. Its area gives the shares of the label.

    Each batch has one box with the share ``1 - a`` of the picture, a ~ Beta(alpha, alpha), centred
    anywhere. The partners are the batch in reverse. If left and right matter, as in
    Something-Something, a box may hide that.
    """

    levels = ("input",)

    @dataclass(frozen=True)
    class Options:
        """Options of ``cutmix``."""

        alpha: PositiveFloat = 1.0
        """Parameter of the Beta distribution, > 0. 1 makes all sizes of the box equally likely."""

    options: Options

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        height, width = inputs.shape[-2:]
        top, bottom, left, right = random_box(height, width, 1 - beta(self.options.alpha))
        mixed = inputs.clone()
        mixed[..., top:bottom, left:right] = inputs.flip(0)[..., top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
        target = self.one_hot(labels)
        return mixed, blend(target, target.flip(0), share)


def random_box(height: int, width: int, area: float) -> tuple[int, int, int, int]:
    """``[top, bottom)`` and ``[left, right)`` of a box with ``area`` and the proportions of the
    picture, around a random centre, cut off at the edges."""
    edges: list[int] = []
    for size in (height, width):
        length = int(size * area**0.5)
        begin = int(torch.randint(size, ())) - length // 2
        edges += [max(begin, 0), min(begin + length, size)]
    top, bottom, left, right = edges
    return top, bottom, left, right
