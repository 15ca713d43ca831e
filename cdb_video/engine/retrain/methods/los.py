"""Label over-smoothing (Sun et al., ICLR 2025)."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import one_hot

from cdb_video.config.types import FractionBelowOne
from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.fitting import CappedFitOptions, fit_head
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("los")
class LabelOverSmoothing(Retrainer):
    """Trains a fresh classifier on class-balanced samples with strongly smoothed labels."""

    @dataclass(frozen=True)
    class Options(CappedFitOptions):
        """Options of ``los``."""

        over_smoothing: FractionBelowOne = 0.98
        """Share of the label that is spread over all classes, in [0, 1)."""

    from_scratch = True

    def make(self, work: Work) -> Made:
        head, delta = work.fresh(), self.options.over_smoothing
        num_classes = head.out_features

        def smooth(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            sure = one_hot(labels, num_classes).float()
            return features, (1 - delta) * sure + delta / num_classes

        fit_head(work, self.options, head, smooth)
        return head, {"over_smoothing": delta}
