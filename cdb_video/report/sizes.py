"""The long tail of a data set: training clips of each class, the largest first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from cdb_video.metrics.long_tail import FEW_SHOT, LongTail, long_tail
from cdb_video.report.curves import CONTRASTING, MUTED, STYLE, WIDTH_INCHES, inline_svg
from cdb_video.report.png import drawn


def in_words(tail: LongTail) -> str:
    """Head length, few-shot length and imbalance in one line."""
    return (
        f"Head length H {tail.head_share:.1%} ({tail.head} of {tail.num_classes} classes hold half "
        f"of the clips), few-shot length F {tail.few_shot_share:.1%} ({tail.few_shot} have at most "
        f"{FEW_SHOT}), imbalance I {tail.imbalance:,.1f} ({tail.largest:,} to {tail.smallest:,})."
    )


def sizes_plot(counts: Sequence[int]) -> tuple[Markup, str] | None:
    """The curve for the page, and its numbers in words; None if no class has a clip."""
    if not any(counts):
        return None
    tail = long_tail(counts)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.8), layout="constrained")
        _draw(figure.subplots(), counts, tail, CONTRASTING[0], MUTED)
        return inline_svg(figure, "sizes of classes"), in_words(tail)


def draw_sizes(path: Path, counts: Sequence[int]) -> None:
    """Writes the curve as a PNG."""
    tail = long_tail(counts)
    with drawn(path, figsize=(8, 3.6)) as figure:
        axes = figure.subplots()
        _draw(axes, counts, tail, "#2a6fb0", "#666666")
        axes.set_title(in_words(tail), fontsize=7, loc="left")


def _draw(axes: Any, counts: Sequence[int], tail: LongTail, colour: str, muted: str) -> None:
    sizes = np.sort(np.asarray(counts))[::-1]
    ranks = np.arange(1, len(sizes) + 1)
    axes.fill_between(ranks, sizes, step="mid", color=colour, alpha=0.3, linewidth=0)
    axes.step(ranks, sizes, where="mid", color=colour, linewidth=1.4)
    axes.axvline(tail.head + 0.5, color=muted, linewidth=0.9, linestyle="--")
    axes.axhline(FEW_SHOT, color=muted, linewidth=0.9, linestyle=":")
    axes.text(tail.head + 0.7, tail.largest, "half of the clips", fontsize=7, va="top", color=muted)
    # Beside the axes, away from the curve.
    beside = axes.get_yaxis_transform()
    axes.text(1.01, FEW_SHOT, f"{FEW_SHOT} clips", fontsize=7, va="center", color=muted,
              transform=beside)  # fmt: skip
    axes.set_yscale("symlog", linthresh=1)
    axes.set(xlabel="classes, the largest first", ylabel="training clips", ylim=(0, None))
    axes.set_xlim(0.5, len(sizes) + 0.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
