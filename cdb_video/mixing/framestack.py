"""FrameStack (Zhang et al., "VideoLT: Large-scale Long-tailed Video Recognition", ICCV 2021)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cdb_video.config.types import Fraction
from cdb_video.mixing.base import Mixer, blend
from cdb_video.registry import MIXERS

EPS = 1e-5
"""Sum of two scores below which both clips count the same; the value of the released code."""


@MIXERS.register("framestack")
class FrameStack(Mixer):
    """Joins frames of two clips in time. A clip of a badly recognised class keeps more frames.

    s is the score of a clip's class. The partner gives the share ``b = s_i / (s_i + s_j)`` of the T
    frames: first ``floor(b T)`` evenly spaced ones, then ``T - floor(b T)`` of the clip itself. The
    label has the shares ``1 - b`` and b. Partners are a random permutation of the batch. The first
    epoch is not mixed. The paper's score is the average precision on unmixed clips after each
    epoch, an extra pass. Here it is the recall of the epoch before, over the clips that keep the
    larger share, which costs nothing.
    """

    levels = ("input",)

    @dataclass(frozen=True)
    class Options:
        """Options of ``framestack``."""

        ratio: Fraction = 0.5
        """Share of each batch that is stacked, in [0, 1]."""

    options: Options
    recall: Tensor
    """(K,) float32, of the epoch before."""
    observed: Tensor
    """() bool: whether there was one."""

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        self.register_buffer("recall", torch.zeros(self.num_classes))
        self.register_buffer("observed", torch.zeros((), dtype=torch.bool))

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        target = self.one_hot(labels)
        partners = torch.randperm(len(labels)).to(labels.device)
        own, other = self.recall[labels].double(), self.recall[labels[partners]].double()
        given = torch.where(own + other < EPS, 0.5, own / (own + other).clamp(min=EPS))
        given = given * self.observed
        given[int(self.options.ratio * len(labels)) :] = 0
        frames = inputs.shape[2]
        # A little is added, so that 0.25 of 60 is 15 for rounded recalls, too.
        clips, places = stacked(partners, (given * frames + 1e-4).long(), frames)
        mixed = inputs[clips, :, places].transpose(1, 2)
        return mixed, blend(target, target[partners], 1 - given)

    @torch.no_grad()
    def observe(self, recall: Tensor, counts: Tensor) -> None:
        """Stores the recall of the classes that have clips."""
        seen = counts.to(self.recall.device) > 0
        self.recall.copy_(torch.where(seen, recall.to(self.recall), self.recall))
        self.observed.fill_(True)


def stacked(partners: Tensor, counts: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """(B, T) clip and frame that each frame of each stacked clip is taken from.

    First ``counts`` (B,) of ``partners`` (B,), then the rest of the clip itself, both from the
    middle of as many equal parts.
    """
    place = torch.arange(frames, device=counts.device)[None]
    count = counts[:, None]
    of_partner = place < count
    rank = torch.where(of_partner, place, place - count)
    total = torch.where(of_partner, count, frames - count).clamp(min=1)
    clips = torch.where(of_partner, partners[:, None], torch.arange(len(counts)).to(place)[:, None])
    return clips, (2 * rank + 1) * frames // (2 * total)
