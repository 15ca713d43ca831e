"""Label-aware smoothing with a learnable scale (Zhong et al., MiSLAS, CVPR 2021)."""

from dataclasses import dataclass
from typing import Literal

from cdb_video.config.types import FractionBelowOne
from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.fitting import FitOptions, fit_head
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.models.heads import ScaledHead, label_aware_targets
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("las")
class LabelAwareSmoothing(Retrainer):
    """Trains the classifier further, with scales, on labels smoothed by class size."""

    @dataclass(frozen=True)
    class Options(FitOptions):
        """Options of ``las``."""

        smoothing_head: FractionBelowOne = 0.4
        """Share of the label that is taken from the largest class, in [0, 1)."""
        smoothing_tail: FractionBelowOne = 0.1
        """Share that is taken from the smallest class, at most SMOOTHING_HEAD. Between the two it
        rises along a sine."""

        form: Literal["paper", "released"] = "paper"
        """Formula that smooths a label by a share e of K classes. 'paper' gives the class 1 - e and
        each other one e / (K - 1). 'released', the authors' code, gives 1 - e + e / K and e / K."""

        def __post_init__(self) -> None:
            if self.smoothing_tail > self.smoothing_head:
                raise ValueError(
                    f"SMOOTHING_TAIL must be at most SMOOTHING_HEAD {self.smoothing_head:g}, got "
                    f"{self.smoothing_tail:g}"
                )

    def make(self, work: Work) -> Made:
        head, options = ScaledHead(work.trained, learn_all=True), self.options
        targets = label_aware_targets(
            work.counts, options.smoothing_head, options.smoothing_tail, options.form
        )
        fit_head(work, options, head, lambda features, labels: (features, targets[labels]))
        return head.folded(), {"scale": head.scale.tolist()}
