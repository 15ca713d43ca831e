"""Curves over epochs as SVG for the page: training, and difficulty and weight of each class."""

import io
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cdb_video.output.rows import DifficultyRow

# matplotlib writes literal colours. Each stands for a custom property of the page's style sheet,
# so that the pictures follow its light and dark colours.
INK, MUTED, RULE = "#010101", "#020202", "#030303"
SERIES = [f"#0400{i:02x}" for i in range(1, 9)]
CONTRASTING = [SERIES[i] for i in (4, 1, 6)]
CSS_COLOURS = {INK: "ink", MUTED: "muted", RULE: "rule"} | {
    colour: f"series-{i}" for i, colour in enumerate(SERIES, start=1)
}
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "font.size": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
}
WIDTH_INCHES = 11.0
MAX_GREY = 100
"""Lines that still tell something."""


def training_curves(
    train: Mapping[int, Mapping[str, Any]], val: Mapping[int, Mapping[str, Any]]
) -> Markup | None:
    """Loss, validation scores and learning rate over epochs; None without data."""
    panels = [
        ("Loss", [("training", train, "loss"), ("validation", val, "loss")]),
        (
            "Validation",
            [
                ("mean class recall", val, "mean_class_recall"),
                ("mean class precision", val, "mean_class_precision"),
                ("top-1", val, "top1"),
            ],
        ),
        ("Learning rate", [("", train, "lr")]),
    ]
    if not train and not val:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.9), layout="constrained")
        for axes, (title, curves) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            for colour, (label, records, key) in zip(CONTRASTING, curves, strict=False):
                points = _points(records, key)
                if points:
                    _plot(axes, points, color=colour, label=label)
            _dress(axes, title)
            if title == "Validation":
                axes.set_ylim(0, 1)
            if axes.get_legend_handles_labels()[1]:
                axes.legend()
        return inline_svg(figure, "training")


def difficulty_curves(rows: Sequence[DifficultyRow]) -> Markup | None:
    """Difficulty and weight of every class, and tau, over epochs; None without a row.

    With more than eight classes, the four hardest and the four easiest at the end are coloured. The
    others are grey, at most twice ``MAX_GREY`` of them. The name of a class is the tooltip of its
    line.
    """
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: row.epoch)
    names = {row.class_id: row.name for row in rows}
    colours = _class_colours(rows)
    by_class: dict[int, list[DifficultyRow]] = defaultdict(list)
    for row in rows:
        by_class[row.class_id].append(row)
    others = [class_id for class_id in names if class_id not in colours]
    grey = others[:: max(1, len(others) // MAX_GREY)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 3.4), layout="constrained")
        panels = figure.subplots(1, 3, width_ratios=(3, 3, 2))
        for axes, field in zip(panels, ("difficulty", "weight"), strict=False):
            # Coloured lines come last and lie on top.
            for class_id in [*grey, *colours]:
                points = [(row.epoch, getattr(row, field)) for row in by_class[class_id]]
                line = _plot(axes, points, gid=f"class_{class_id}")
                if class_id in colours:
                    line.set(color=colours[class_id], label=_short(names[class_id]))
                else:
                    line.set(color=MUTED, linewidth=0.7, alpha=min(0.35, 12 / len(names)))
            _dress(axes, field.capitalize())
        panels[0].set_ylim(-0.03, 1.03)
        panels[1].set_ylim(bottom=0)
        taus = {row.epoch: row.tau for row in rows if row.tau is not None}
        if taus:
            _plot(panels[2], list(taus.items()), color=INK)
        _dress(panels[2], "tau")
        # A constant tau would coincide with the frame.
        panels[2].set_ylim(0, 1.08 * max([*taus.values(), 1]))
        pairs = zip(*panels[0].get_legend_handles_labels(), strict=True)
        handles, labels = zip(*sorted(pairs, key=_place_in_legend), strict=True)
        title = "hardest first" if len(names) <= len(SERIES) else "4 hardest, 4 easiest"
        legend = figure.legend(handles, labels, loc="outside right upper", title=title)
        legend.get_title().set_color(MUTED)
        return inline_svg(figure, "difficulty", titles=names)


def _class_colours(rows: Sequence[DifficultyRow]) -> dict[int, str]:
    """Colours of the highlighted classes, the hardest at the end first; ``rows`` by epoch."""
    last: dict[int, float] = {}
    total: dict[int, float] = defaultdict(float)
    for row in rows:
        last[row.class_id] = row.difficulty
        total[row.class_id] += row.difficulty
    hardest_first = sorted(last, key=lambda class_id: (-last[class_id], -total[class_id]))
    if len(hardest_first) > len(SERIES):
        half = len(SERIES) // 2
        hardest_first = hardest_first[:half] + hardest_first[-half:]
    return dict(zip(hardest_first, SERIES, strict=False))


def _place_in_legend(handle_and_label: tuple[Any, str]) -> int:
    return SERIES.index(handle_and_label[0].get_color())


def _plot(axes: Any, points: Sequence[tuple[int, float]], **style: Any) -> Any:
    """One line through ``points``. Few points get markers, so that a single one is visible."""
    (line,) = axes.plot(*zip(*points, strict=True), marker="o" if len(points) < 12 else "", **style)
    return line


def _points(records: Mapping[int, Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    pairs = ((epoch, records[epoch].get(key)) for epoch in sorted(records))
    return [(epoch, float(v)) for epoch, v in pairs if v is not None and math.isfinite(v)]


def _dress(axes: Any, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _short(name: str, length: int = 22) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def inline_svg(figure: Figure, salt: str, titles: Mapping[int, str] | None = None) -> Markup:
    """The figure as an ``<svg>`` element that is safe in a page with other figures."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        # The browser renders the text with its own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    for class_id, name in (titles or {}).items():
        svg = svg.replace(f'<g id="class_{class_id}">', f"<g><title>{escape(name)}</title>")
    svg = re.sub(r'<g id="[\w.]+">', "<g>", svg)
    for colour, name in CSS_COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return Markup(svg)
