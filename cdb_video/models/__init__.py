"""Models: a backbone from the registry with a linear head, and loading weights into it."""

from cdb_video.models.architecture import Architecture
from cdb_video.models.checkpoint import Checkpoint
from cdb_video.models.classifier import AUTOCAST, Classifier, Normalisation, build, build_model
from cdb_video.models.weights.files import read_checkpoint, read_state_dict
from cdb_video.models.weights.fit import WeightReport, load_weights
from cdb_video.models.weights.sources import locate

__all__ = [
    "AUTOCAST",
    "Architecture",
    "Checkpoint",
    "Classifier",
    "Normalisation",
    "WeightReport",
    "build",
    "build_model",
    "load_weights",
    "locate",
    "read_checkpoint",
    "read_state_dict",
]
