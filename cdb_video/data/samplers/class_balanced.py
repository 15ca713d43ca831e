"""Every class equally often."""

import numpy as np

from cdb_video.data.samplers.by_class import ByClass, Weights
from cdb_video.registry import SAMPLERS


@SAMPLERS.register("class_balanced")
class ClassBalanced(ByClass):
    """All classes equally often.

    Probability 1 / K for each of the K classes that have records. The class-balanced sampling of
    Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020
    (equation 1 with q = 0).
    """

    def weights(self, epoch: int) -> Weights:
        return np.ones(self.num_classes)
