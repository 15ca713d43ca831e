"""From every record to every class equally often, over the epochs of a run."""

import numpy as np

from cdb_video.data.samplers.by_class import ByClass, Weights
from cdb_video.registry import SAMPLERS


@SAMPLERS.register("progressive")
class Progressive(ByClass):
    """From all records equally often to all classes equally often, step by step over the epochs.

    Probability ``(1 - t/T) * n_c / N + (t/T) / K`` in epoch t of T, counted from 1. K counts the
    classes that have records. The last epoch is class-balanced. The progressively-balanced sampling
    of Kang et al., ICLR 2020 (equation 2).
    """

    def weights(self, epoch: int) -> Weights:
        share = min(epoch / self.num_epochs, 1.0)
        by_record: Weights = self.class_counts / self.class_counts.sum()
        by_class = 1 / np.count_nonzero(self.class_counts)
        return (1 - share) * by_record + share * by_class
