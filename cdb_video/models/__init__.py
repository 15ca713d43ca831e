"""Models: a backbone from the registry with a linear head, and loading weights into it."""

from cdb_video.models.classifier import Classifier, build_model
from cdb_video.models.normalisation import Normalisation, stated_normalisation
from cdb_video.models.weight_fit import WeightReport, load_weights
from cdb_video.models.weight_sources import locate
from cdb_video.models.weights import read_checkpoint, read_state_dict

__all__ = [
    "Classifier",
    "Normalisation",
    "WeightReport",
    "build_model",
    "load_weights",
    "locate",
    "read_checkpoint",
    "read_state_dict",
    "stated_normalisation",
]
