"""Nearest class mean (Kang et al., ICLR 2020)."""

from dataclasses import dataclass
from typing import Literal

from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.models.heads import nearest_class_mean
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("ncm")
class NearestClassMean(Retrainer):
    """Predicts the class whose mean training feature is nearest."""

    @dataclass(frozen=True)
    class Options:
        """Options of ``ncm``."""

        distance: Literal["cosine", "euclidean"] = "cosine"
        """Distance between a feature and the class means."""

    from_scratch = True

    def make(self, work: Work) -> Made:
        features, labels = work.features["train"].first_views
        distance = self.options.distance
        head = nearest_class_mean(features, labels, work.trained.out_features, distance)
        return head, {"distance": distance}
