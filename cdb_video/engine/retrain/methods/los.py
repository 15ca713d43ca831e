"""Label over-smoothing (Sun et al., ICLR 2025)."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import one_hot

from cdb_video.config.types import FractionBelowOne, PositiveFloat, PositiveInt
from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.fitting import CappedFitOptions, fit_head
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.registry import RETRAINERS


@RETRAINERS.register("los")
class LabelOverSmoothing(Retrainer):
    """Trains the trained classifier on with strongly smoothed labels, as its authors' code does."""

    @dataclass(frozen=True)
    class Options(CappedFitOptions):
        """Options of ``los``; the defaults are those of the authors' code."""

        max_epoch: PositiveInt = 20
        """Epochs. Each draws as many features as there are training clips."""
        base_lr: PositiveFloat = 5e-4
        """Learning rate at the first step. It falls to 0 along half a cosine."""
        batch_size: PositiveInt = 64
        """Features in an optimiser step."""
        start: Literal["trained", "zero"] = "trained"
        """Classifier to begin with. 'trained' takes that of the checkpoint. 'zero' has weights of
        0, which needs a larger BASE_LR, such as 0.2."""
        sampler: Literal["shuffle", "class_balanced"] = "shuffle"
        """Order of the training features. 'shuffle' takes each once an epoch. 'class_balanced'
        draws all classes equally often."""
        over_smoothing: FractionBelowOne = 0.98
        """Share of the label that is spread over all classes, in [0, 1)."""

    def make(self, work: Work) -> Made:
        head, delta = deepcopy(work.trained), self.options.over_smoothing
        if self.options.start == "zero":
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        num_classes = head.out_features

        def smooth(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            sure = one_hot(labels, num_classes).float()
            return features, (1 - delta) * sure + delta / num_classes

        fit_head(work, self.options, head, smooth, self.options.sampler)
        return head, {"over_smoothing": delta}
