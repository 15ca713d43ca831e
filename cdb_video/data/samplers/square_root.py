"""Classes by the square root of their size."""

import numpy as np

from cdb_video.data.samplers.by_class import ByClass, Weights
from cdb_video.registry import SAMPLERS


@SAMPLERS.register("square_root")
class SquareRoot(ByClass):
    """Classes in proportion to the square root of their size.

    ``sqrt(n_c)``, n_c being the number of records of class c. The square-root sampling of Mahajan
    et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018; equation 1 with q =
    1/2 in Kang et al., ICLR 2020.
    """

    def weights(self, epoch: int) -> Weights:
        return np.sqrt(self.class_counts)
