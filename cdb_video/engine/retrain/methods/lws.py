"""Learnable weight scaling (Kang et al., ICLR 2020)."""

from dataclasses import dataclass

from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.fitting import FitOptions, fit_head
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.models.heads import ScaledHead
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("lws")
class LearnableWeightScaling(Retrainer):
    """Trains one scale for each class of the trained classifier, on class-balanced samples."""

    @dataclass(frozen=True)
    class Options(FitOptions):
        """Options of ``lws``."""

    def make(self, work: Work) -> Made:
        head = ScaledHead(work.trained)
        fit_head(work, self.options, head)
        return head.folded(), {"scale": head.scale.tolist()}
