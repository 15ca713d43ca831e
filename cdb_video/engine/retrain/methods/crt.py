"""Classifier retraining (Kang et al., ICLR 2020)."""

from dataclasses import dataclass

from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.fitting import CappedFitOptions, fit_head
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("crt")
class ClassifierRetraining(Retrainer):
    """Trains a fresh classifier on class-balanced samples."""

    @dataclass(frozen=True)
    class Options(CappedFitOptions):
        """Options of ``crt``."""

    from_scratch = True

    def make(self, work: Work) -> Made:
        head = work.fresh()
        fit_head(work, self.options, head)
        return head, {}
