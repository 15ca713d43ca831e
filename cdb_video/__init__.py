"""cdb_video: action recognition on imbalanced video data.

The names below are the Python interface. docs/python_api.md explains them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cdb_video.version import __version__ as __version__

if TYPE_CHECKING:
    from cdb_video.engine.evaluate.test import test as test
    from cdb_video.engine.train.loop import train as train
    from cdb_video.engine.use.explain import Explanation as Explanation
    from cdb_video.engine.use.explain import explain as explain
    from cdb_video.engine.use.prediction import Prediction as Prediction
    from cdb_video.engine.use.predictor import Predictor as Predictor
    from cdb_video.engine.use.predictor import load as load
    from cdb_video.engine.use.timeline import Segment as Segment
    from cdb_video.engine.use.timeline import Timeline as Timeline
    from cdb_video.options import Config as Config
    from cdb_video.report.page import write_report as write_report

PUBLIC = {
    "Config": "options",
    "Explanation": "engine.use.explain",
    "Prediction": "engine.use.prediction",
    "Predictor": "engine.use.predictor",
    "Segment": "engine.use.timeline",
    "Timeline": "engine.use.timeline",
    "explain": "engine.use.explain",
    "load": "engine.use.predictor",
    "test": "engine.evaluate.test",
    "train": "engine.train.loop",
    "write_report": "report.page",
}
"""Name -> where it is; imported when it is first used, as torch is slow to import."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
