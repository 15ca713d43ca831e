"""Every record once an epoch, in random order."""

import numpy as np

from cdb_video.data.samplers.base import Order, Sampler
from cdb_video.registry import SAMPLERS


@SAMPLERS.register("shuffle")
class Shuffle(Sampler):
    """Each record once, in a new random order each epoch."""

    def indices(self, epoch: int) -> Order:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.labels))
