"""Long-tail Mixed Reconstruction on kept features (Perrett et al., CVPR 2023)."""

from dataclasses import dataclass

from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.fitting import CappedFitOptions, fit_head
from cdb_video.engine.retrain.work import Made, Work
from cdb_video.mixing.base import Mixer
from cdb_video.registry import MIXERS, RETRAINERS


@RETRAINERS.register("lmr")
class MixedReconstruction(Retrainer):
    """Trains a fresh classifier on reconstructed and mixed features.

    It uses the options in MIX.LMR if MIX.NAME is lmr, else their defaults.
    """

    @dataclass(frozen=True)
    class Options(CappedFitOptions):
        """Options of ``lmr``."""

    from_scratch = True

    def make(self, work: Work) -> Made:
        kind, counts, head = MIXERS.get("lmr"), work.counts, work.fresh()
        options = work.mix_options or kind.Options()
        mixer: Mixer = kind(options, num_classes=len(counts), class_counts=counts)
        fit_head(work, self.options, head, mixer)
        return head, {"contributions": mixer.get_buffer("contributions").tolist()}
