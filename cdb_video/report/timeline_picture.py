"""A picture of a timeline: the class at each time, and its probability."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.report.png import drawn

MAX_CURVES = 6
COLOURS = ("#2563a8", "#c2452d", "#4c8c3f", "#dd8a1e", "#7350b5", "#2b9aa8")
OTHER = "#b9c0c8"


def draw_timeline(
    path: Path,
    title: str,
    class_names: Sequence[str],
    times: npt.NDArray[np.floating[Any]],
    scores: npt.NDArray[np.floating[Any]],
    segments: Sequence[tuple[float, float, int]],
) -> None:
    """A strip with the class of each segment, above the probabilities of the most frequent classes.

    Args:
        times: (M + 1,) seconds; scores: (M, K); segments: (start, end, class id).
    """
    lengths = np.zeros(len(class_names))
    for start, end, c in segments:
        lengths[c] += end - start
    shown = [int(c) for c in np.argsort(-lengths, kind="stable")[:MAX_CURVES] if lengths[c] > 0]
    colour = dict(zip(shown, COLOURS, strict=False))
    with drawn(path, figsize=(10, 3.6)) as figure:
        strip, curves = figure.subplots(2, 1, sharex=True, height_ratios=[1, 4])
        for start, end, c in segments:
            strip.axvspan(start, end, color=colour.get(c, OTHER), linewidth=0)
        for c in shown:
            curves.stairs(
                scores[:, c],
                times,
                color=colour[c],
                label=class_names[c],
                linewidth=1.6,
                baseline=None,
            )
        strip.set_yticks([])
        strip.set_title(title, fontsize=9, loc="left")
        curves.set(
            xlabel="seconds", ylabel="probability", ylim=(0, 1.02), xlim=(times[0], times[-1])
        )
        curves.grid(axis="y", linewidth=0.5, color="#dddddd")
        curves.spines[["top", "right"]].set_visible(False)
        curves.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
