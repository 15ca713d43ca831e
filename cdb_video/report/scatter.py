"""Clips as points in a plane, coloured by class, those of small classes marked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from cdb_video.report.png import drawn

MAX_NAMED = 40
"""Classes in the legend."""


def draw_scatter(
    path: Path,
    title: str,
    points: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    class_names: Sequence[str],
    marked: Sequence[bool],
) -> None:
    """Writes a PNG.

    Args:
        points: (N, 2); labels: (N,).
        marked: (K,) classes that are drawn as triangles with a dark edge, above the others.
    """
    present = np.unique(labels).tolist()
    colours = colormaps["tab20" if len(present) <= 20 else "hsv"]
    with drawn(path, figsize=(9, 6.5)) as figure:
        axes = figure.subplots()
        for place, c in enumerate(sorted(present, key=lambda c: marked[c])):
            mine = points[labels == c]
            colour = colours(place / max(1, len(present)) if len(present) > 20 else place)
            axes.scatter(
                mine[:, 0],
                mine[:, 1],
                s=34 if marked[c] else 16,
                marker="^" if marked[c] else "o",
                color=[colour],
                edgecolor="#1c2127" if marked[c] else "none",
                linewidth=0.6,
                label=class_names[c] + (" (minority)" if marked[c] else ""),
            )
        axes.set_title(title, fontsize=10, loc="left")
        axes.set(xticks=[], yticks=[])
        if len(present) <= MAX_NAMED:
            columns = 1 + (len(present) - 1) // 20
            axes.legend(
                loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8, ncols=columns
            )
