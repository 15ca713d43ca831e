"""cdb_video: action recognition on imbalanced video data.

What is used from Python stands here; docs/python_api.md walks through it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdb_video.engine.explain import Explanation as Explanation
    from cdb_video.engine.explain import explain as explain
    from cdb_video.engine.predict import Predictor as Predictor
    from cdb_video.engine.predict import load as load
    from cdb_video.engine.prediction import Prediction as Prediction
    from cdb_video.engine.test import test as test
    from cdb_video.engine.timeline import Segment as Segment
    from cdb_video.engine.timeline import Timeline as Timeline
    from cdb_video.engine.train import train as train
    from cdb_video.options import Config as Config
    from cdb_video.report.page import write_report as write_report

__version__ = "0.1.0"
PUBLIC = {
    "Config": "options",
    "Explanation": "engine.explain",
    "Prediction": "engine.prediction",
    "Predictor": "engine.predict",
    "Segment": "engine.timeline",
    "Timeline": "engine.timeline",
    "explain": "engine.explain",
    "load": "engine.predict",
    "test": "engine.test",
    "train": "engine.train",
    "write_report": "report.page",
}
"""Name -> where it is; imported when it is first used, as torch is slow to import."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
