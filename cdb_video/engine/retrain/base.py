"""The base of retraining methods."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from cdb_video.engine.retrain.work import Made, Work


class Retrainer(ABC):
    """Makes a classifier of stored features (Kang et al., "Decoupling Representation and Classifier
    for Long-Tailed Recognition", ICLR 2020).

    Args:
        options: the subclass's ``Options``.
    """

    from_scratch: ClassVar[bool] = False
    """Whether it takes nothing over from the classifier of the checkpoint."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def num_epochs(self) -> int:
        """Its training epochs; 0 for a method without training."""
        return int(getattr(self.options, "max_epoch", 0))

    @abstractmethod
    def make(self, work: Work) -> Made:
        """The new classifier."""
