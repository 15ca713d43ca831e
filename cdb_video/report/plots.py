"""Pictures of a test: recall against class size, and reliability of scores."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter, SymmetricalLogLocator

from cdb_video.metrics.intervals import Bin
from cdb_video.output.rows import ClassRow
from cdb_video.report.curves import CONTRASTING, INK, MUTED, SERIES, STYLE, WIDTH_INCHES, inline_svg


def long_tail_plot(classes: Sequence[ClassRow]) -> Markup | None:
    """Recall of each class against its training clips. A line shows the mean of each group.

    None if fewer than two classes have both.
    """
    known = [row for row in classes if row.recall is not None and row.n_train is not None]
    if len(known) < 2:
        return None
    groups = list(dict.fromkeys(row.group for row in sorted(known, key=_size)))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 3.6), layout="constrained")
        axes: Any = figure.subplots()
        axes.set_xscale("symlog", linthresh=1)
        titles = {}
        for colour, group in zip([*CONTRASTING, *SERIES], groups, strict=False):
            mine = [row for row in known if row.group == group]
            for row in mine:
                clips = f"{row.n_test} test clips, {row.n_train} training clips"
                titles[row.class_id] = f"{row.name}: {row.recall or 0:.0%} of {clips}"
                axes.plot(
                    [_size(row)], [row.recall], "o", color=colour, markersize=6, alpha=0.75,
                    markeredgewidth=0, gid=f"class_{row.class_id}",
                )  # fmt: skip
            mean = float(np.mean([row.recall for row in mine]))
            sizes = [_size(row) for row in mine]
            low, high = min(sizes) * 0.93, max(sizes) * 1.07
            label = f"{group or 'all'}: mean {100 * mean:.1f} % of {len(mine)} classes"
            axes.plot([low, high], [mean, mean], color=colour, linewidth=2, label=label)
        axes.set(xlabel="training clips of the class", ylabel="recall", ylim=(-0.04, 1.04))
        axes.set_xlim(
            left=max(0, min(map(_size, known)) * 0.85), right=max(map(_size, known)) * 1.2
        )
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        figure.legend(loc="outside upper left", ncols=len(groups))
        return inline_svg(figure, "long tail", titles=titles)


def reliability_plot(bins: Sequence[Bin]) -> Markup | None:
    """Accuracy against score, bin by bin. On the diagonal, scores are probabilities."""
    if not bins:
        return None
    total = sum(one.count for one in bins)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES / 2.4, 3.2), layout="constrained")
        axes: Any = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--")
        for one in bins:
            size = 3 + 13 * (one.count / total) ** 0.5
            axes.plot([one.score], [one.accuracy], "o", color=SERIES[4], markersize=size, alpha=0.7,
                      markeredgewidth=0)  # fmt: skip
        axes.plot([b.score for b in bins], [b.accuracy for b in bins], color=INK, linewidth=0.8)
        axes.set(xlabel="score", ylabel="share that is right", xlim=(0, 1.03), ylim=(-0.03, 1.03))
        return inline_svg(figure, "reliability")


def _size(row: ClassRow) -> int:
    return row.n_train or 0
