"""One picture of the difficulty of every class after every validation."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cdb_video.output.rows import DifficultyRow
from cdb_video.report.curves import MUTED, STYLE, WIDTH_INCHES, inline_svg

MAX_NAMED = 60
"""More class names than this would overlap."""


def difficulty_heat_map(rows: Sequence[DifficultyRow], sizes: Mapping[int, int]) -> Markup | None:
    """Classes from large to small down the page, epochs across; None without a row.

    Args:
        rows: of ``difficulty.csv``.
        sizes: class id -> training clips. Classes of equal or unknown size are sorted by id.
    """
    if not rows:
        return None
    names = {row.class_id: row.name for row in rows}
    order = sorted(names, key=lambda class_id: (-sizes.get(class_id, 0), class_id))
    epochs = sorted({row.epoch for row in rows})
    place = {class_id: index for index, class_id in enumerate(order)}
    picture = np.full((len(order), len(epochs)), np.nan)
    for row in rows:
        picture[place[row.class_id], epochs.index(row.epoch)] = row.difficulty
    height = min(12.0, 0.9 + 0.2 * len(order))
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(
            picture,
            cmap="Blues",
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="nearest",
            extent=(0.5, len(epochs) + 0.5, len(order) - 0.5, -0.5),
        )
        axes.set_xlabel("validation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(order) <= MAX_NAMED:
            labels = [f"{names[c]} ({sizes[c]})" if c in sizes else names[c] for c in order]
            axes.set_yticks(range(len(order)), labels)
        else:
            axes.set_ylabel("classes, largest first")
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
        bar.set_label("difficulty", color=MUTED)
        bar.outline.set_visible(False)
        return inline_svg(figure, "heat map")
