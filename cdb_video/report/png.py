"""Writes a figure as a PNG; names of files and classes in it are no formulas."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from cdb_video.system.files import replacing


@contextmanager
def drawn(path: Path, dpi: int = 130, **figure: Any) -> Iterator[Figure]:
    """Gives a ``Figure`` of these arguments, and writes it to ``path`` when the block ends well."""
    with matplotlib.rc_context({"text.parse_math": False}):
        drawing = Figure(layout="constrained", **figure)
        yield drawing
        with replacing(path) as partial:
            drawing.savefig(partial, dpi=dpi, format="png")
