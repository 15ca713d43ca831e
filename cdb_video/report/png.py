"""Writes a figure as a PNG. Dollar signs in names start no formula."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from cdb_video.system.files import replacing


@contextmanager
def drawn(path: Path, dpi: int = 130, **figure: Any) -> Iterator[Figure]:
    """Yields a new ``Figure`` and writes it to ``path`` when the block succeeds."""
    with matplotlib.rc_context({"text.parse_math": False}):
        drawing = Figure(layout="constrained", **figure)
        yield drawing
        with replacing(path) as partial:
            drawing.savefig(partial, dpi=dpi, format="png")
