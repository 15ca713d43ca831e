"""Every record at least once, those of rare classes several times."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cdb_video.config.types import Fraction
from cdb_video.data.samplers.base import Order, Sampler, systematic_counts
from cdb_video.registry import SAMPLERS


@SAMPLERS.register("repeat_factor")
class RepeatFactor(Sampler):
    """Each record once, and those of rare classes several times an epoch.

    A record of class c comes ``r_c = max(1, sqrt(threshold / f_c))`` times. f_c is the class's
    share of all records. Repeat factor sampling of Gupta, Dollár, Girshick, "LVIS: A Dataset for
    Large Vocabulary Instance Segmentation", CVPR 2019 (appendix B.2), where each image's
    fraction is rounded on its own, so that epochs differ in length. Here the fractions of all
    records are rounded together, at random: every epoch has ``floor(sum of r_c over records)``
    entries. The mean of a record over epochs is r_c, less its part of what the floor drops.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``repeat_factor``."""

        threshold: Fraction = 0.001
        """Share of all clips below which a class's clips are repeated, in [0, 1]. LVIS takes 0.001
        for its 1,203 classes. It repeats nothing where every class is larger. 1 / K repeats the
        clips of every class that is smaller than it would be in balance."""

    options: Options

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        counts = np.bincount(self.labels, minlength=self.num_classes)
        shares = np.maximum(counts, 1) / len(self.labels)
        factors = np.maximum(1.0, np.sqrt(options.threshold / shares))[self.labels]
        self._whole = np.floor(factors).astype(np.int64)
        self._fractions = factors - self._whole
        # A sum that is whole but for rounding errors counts as whole.
        self._num_extra = int(self._fractions.sum() + 1e-6)

    def __len__(self) -> int:
        return int(self._whole.sum()) + self._num_extra

    def indices(self, epoch: int) -> Order:
        rng = np.random.default_rng([self.seed, epoch])
        repeats = self._whole
        if self._num_extra:
            expected = self._fractions * (self._num_extra / self._fractions.sum())
            repeats = repeats + systematic_counts(expected, self._num_extra, rng)
        return rng.permutation(np.repeat(np.arange(len(self.labels)), repeats))
