"""Models: a backbone from the registry with a linear head, and loading weights into it."""

from cdb_video.models.classifier import Classifier, build_model
from cdb_video.models.weights import (
    WeightReport,
    load_weights,
    read_checkpoint,
    read_state_dict,
)

__all__ = [
    "Classifier",
    "WeightReport",
    "build_model",
    "load_weights",
    "read_checkpoint",
    "read_state_dict",
]
