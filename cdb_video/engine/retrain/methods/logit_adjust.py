"""Post-hoc logit adjustment (Menon et al., ICLR 2021)."""

from dataclasses import dataclass

from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.best_tau import TauOptions, best_tau
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.models.heads import logit_adjusted
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("logit_adjust")
class LogitAdjustment(Retrainer):
    """Subtracts tau times the log of each class's share of the training clips from its logit."""

    @dataclass(frozen=True)
    class Options(TauOptions):
        """Options of ``logit_adjust``."""

    def make(self, work: Work) -> Made:
        counts = work.counts
        return best_tau(work, self.options, lambda tau: logit_adjusted(work.trained, counts, tau))
