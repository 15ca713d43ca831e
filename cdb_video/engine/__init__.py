"""The engine: where data, models, losses and metrics meet."""

from cdb_video.engine.retrain import retrain
from cdb_video.engine.test import test
from cdb_video.engine.train import train

__all__ = ["retrain", "test", "train"]
