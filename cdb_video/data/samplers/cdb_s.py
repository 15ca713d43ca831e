"""Classes by how hard the model finds them."""

from dataclasses import dataclass
from typing import Any

import torch

from cdb_video.data.samplers.by_class import ByClass, Weights
from cdb_video.difficulty import ClassState, ClassWeights, WeightOptions
from cdb_video.registry import SAMPLERS


@SAMPLERS.register("cdb_s")
class CDBSampling(ByClass):
    """Classes in proportion to how hard the model finds them.

    ``d_c ** tau`` with ``d_c = 1 - recall_c`` on validation: class-wise difficulty-balanced
    sampling (CDB-S) of Sinha, Ohashi, Nakamura, "Class-Difficulty Based Methods for Long-Tailed
    Visual Recognition", IJCV 2022. Before the first validation every difficulty is 1, and
    classes are drawn equally often. The paper's form never draws a class with 100 % recall;
    ``min_weight`` keeps drawing it.
    """

    @dataclass(frozen=True)
    class Options(WeightOptions):
        """Options of ``cdb_s``: those of the weights of ``cdb_ce``, with the same meaning."""

    needs_validation = True

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        self.classes = ClassWeights(options, self.num_classes)

    def weights(self, epoch: int) -> Weights:
        return self.classes.weights().numpy()

    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        self.classes.observe(recall, counts)

    def class_state(self, epoch: int) -> ClassState:
        difficulty = self.classes.difficulty.clone()
        return ClassState(difficulty, self.classes.weights(), self.classes.tau())

    def state_dict(self) -> dict[str, Any]:
        return dict(self.classes.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.classes.load_state_dict(state)
