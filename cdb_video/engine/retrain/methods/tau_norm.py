"""Tau-normalisation (Kang et al., ICLR 2020)."""

from dataclasses import dataclass

from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.best_tau import TauOptions, best_tau
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.models.heads import tau_normalised
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("tau_norm")
class TauNormalisation(Retrainer):
    """Divides the weights of each class by their length to the power of tau."""

    @dataclass(frozen=True)
    class Options(TauOptions):
        """Options of ``tau_norm``."""

    def make(self, work: Work) -> Made:
        return best_tau(work, self.options, lambda tau: tau_normalised(work.trained, tau))
