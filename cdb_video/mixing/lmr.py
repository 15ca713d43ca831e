"""Long-tail Mixed Reconstruction (Perrett et al., "Use Your Head", CVPR 2023)."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from cdb_video import distributed
from cdb_video.config.types import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from cdb_video.errors import ConfigError
from cdb_video.mixing.base import Mixer
from cdb_video.mixing.pairwise import mix_pairs
from cdb_video.registry import MIXERS

SMALLEST_EPS = 5.0
"""What is added to class sizes at least, in the released form."""


@MIXERS.register("lmr")
class LongTailMixedReconstruction(Mixer):
    """Reconstructs features of rare classes from those of other clips, then mixes pairs.

    ``r_i = C_y sum_j W_ij x_j + (1 - C_y) x_i`` with the label of i. W is a softmax over Pearson's
    correlations of features. Few-shot classes and the clip itself are left out of it. The
    contribution C_c falls from CONTRIBUTION, the paper's l, for the rarest class to 0 for the
    largest: ``g_c = 1 / ln(d n_c + eps)``, scaled to [0, 1], times l. Then pairs are mixed as in
    ``pairwise``. Equations 1 to 7. It is meant for a second stage with SAMPLER.NAME class_balanced.

    The other clips are those of the last ``bank`` batches of all processes, with the current one.
    A clip without any other clip stays unchanged.
    """

    levels = ("feature",)

    @dataclass(frozen=True)
    class Options:
        """Options of ``lmr``."""

        contribution: Fraction = 0.6
        """Contribution of the reconstruction for the rarest class, in [0, 1]. The authors take 0.6
        on SSv2-LT and 1 on EPIC-KITCHENS-100."""
        d: PositiveFloat = 0.25
        """Factor on class sizes. The smaller it is, the slower the contribution falls with size."""
        eps: NonNegativeFloat = 1.0
        """Number added to D * n in the paper's form. D * n + EPS must be above 1 for every
        class."""
        few_shot: NonNegativeInt = 20
        """Size in clips of the largest class that does not help to rebuild."""
        probability: Fraction = 0.5
        """Share of the clips that are mixed in pairs, in [0, 1]."""
        bank: PositiveInt = 8
        """Batches whose clips help to rebuild, including the newest."""
        form: Literal["paper", "release"] = "paper"
        """Form of the contribution. 'paper' takes ln(D * n + EPS). 'release' takes ln((n + e) * D)
        with e = max(5, smallest class), and FLOOR, as the authors' code does."""
        floor: Fraction = 0.0
        """Contribution for the largest class in the released form, such as 0.001."""

    options: Options
    contributions: Tensor
    """(K,) float32: C."""

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        found = contributions(self.counts.double(), options)
        self.register_buffer("contributions", found.float(), persistent=False)
        self._bank: deque[tuple[Tensor, Tensor]] = deque(maxlen=options.bank)

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        features = inputs.float()
        self._bank.append((distributed.all_of(features.detach()), distributed.all_of(labels)))
        keys, classes = (
            torch.cat(part).to(features.device) for part in zip(*self._bank, strict=True)
        )
        rebuilt = self._rebuild(features, labels, keys, classes)
        mixed, target = mix_pairs(rebuilt, self.one_hot(labels), self.options.probability)
        return mixed.to(inputs.dtype), target

    def _rebuild(self, features: Tensor, labels: Tensor, keys: Tensor, classes: Tensor) -> Tensor:
        # A skipped step may have left features that are not finite.
        broken = ~keys.isfinite().all(dim=1)
        keys = keys.nan_to_num()
        few = self.counts.to(classes.device)[classes] <= self.options.few_shot
        excluded = (few | broken).repeat(len(labels), 1)
        # The newest batches come last; this process's batch is at its rank's position.
        own = len(keys) - (distributed.world_size() - distributed.rank()) * len(labels)
        places = torch.arange(len(labels), device=labels.device)
        excluded[places, own + places] = True
        helpless = excluded.all(dim=1)
        weights = reconstruction_weights(features, keys, excluded)
        share = self.contributions.to(features.device)[labels].masked_fill(helpless, 0)[:, None]
        return share * (weights @ keys) + (1 - share) * features

    def get_extra_state(self) -> list[tuple[Tensor, Tensor]]:
        """The bank, which is equal on all processes."""
        return [(keys.cpu(), classes.cpu()) for keys, classes in self._bank]

    def set_extra_state(self, state: list[tuple[Tensor, Tensor]]) -> None:
        """Restores the state of ``get_extra_state``."""
        self._bank.clear()
        self._bank.extend(state)


def contributions(counts: Tensor, options: LongTailMixedReconstruction.Options) -> Tensor:
    """(K,) C of classes with ``counts`` clips. A class without clips counts as one clip.

    Raises:
        ConfigError: the logarithm is not above 0: the smallest classes would get the smallest
            contribution.
    """
    sizes = counts.clamp(min=1)
    if options.form == "paper":
        inside = options.d * sizes + options.eps
    else:
        inside = (sizes + sizes.min().clamp(min=SMALLEST_EPS)) * options.d
    if (inside <= 1).any():
        rule = "D * n + EPS" if options.form == "paper" else "(n + e) * D"
        raise ConfigError(
            f"MIX.LMR: {rule} must be above 1 for the class with {int(sizes.min())} clips, got "
            f"{float(inside.min()):g}"
        )
    g = 1 / inside.log()
    spread = g.max() - g.min()
    scaled = (g - g.min()) / spread if spread > 0 else torch.zeros_like(g)
    floor = options.floor if options.form == "release" else 0.0
    return floor + (options.contribution - floor) * scaled


def reconstruction_weights(queries: Tensor, keys: Tensor, excluded: Tensor) -> Tensor:
    """(B, M) weights of the keys (M, F) for each query (B, F); 0 if ``excluded`` (B, M).

    A query without keys has weights of 0.
    """
    width = queries.shape[1:]
    similarity = F.layer_norm(queries, width) @ F.layer_norm(keys, width).T / width[0]
    weights = similarity.masked_fill(excluded, -torch.inf).softmax(dim=1)
    return weights.masked_fill(excluded.all(dim=1, keepdim=True), 0)
