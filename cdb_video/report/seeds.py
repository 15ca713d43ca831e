"""Scores of several runs: one CSV, two tables and a picture."""

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdb_video.report.png import drawn
from cdb_video.report.scores import Scores
from cdb_video.system.csv_rows import write_csv
from cdb_video.system.files import replacing, write_text

Run = tuple[str, int]
"""Name of the loss, and seed."""

CONFIDENCE = 0.95
NO_ROOM = ("mean class F1", "worst class recall")
"""Scores for which a terminal of 80 columns has no room."""


def write_table(path: Path, table: Mapping[Run, Scores]) -> None:
    """One row a run: loss, seed, scores as fractions."""
    columns = columns_of(table)
    lines = (
        [loss, seed, *(scores.get(column) for column in columns)]
        for (loss, seed), scores in table.items()
    )
    with replacing(path) as partial:
        write_csv(partial, [["loss", "seed", *columns], *lines])


def write_markdown(path: Path, table: Mapping[Run, Scores]) -> None:
    """``score_tables`` as Markdown."""
    text = io.StringIO()
    page = Console(file=text, width=200)
    for one in score_tables(table):
        if one.row_count:
            title, one.title, one.box = one.title, None, box.MARKDOWN
            page.print(title, one, sep="\n\n")
    write_text(path, text.getvalue())


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; None with a single value."""
    return mean(values), stdev(values) if len(values) > 1 else None


def difference_over_seeds(
    ones: Mapping[int, float], others: Mapping[int, float]
) -> tuple[float, float | None]:
    """Mean of ``others - ones`` over common seeds, and half the width of its 95 % t interval.

    The same seed gives the same initial weights, order and augmentation, so differences between
    seeds cancel. None with fewer than two seeds.
    """
    both = [seed for seed in ones if seed in others]
    first, second = ([scores[seed] for seed in both] for scores in (ones, others))
    centre = mean(b - a for a, b in zip(first, second, strict=True))
    if len(both) < 2:
        return centre, None
    from scipy.stats import ttest_rel  # slow to import, and the demo needs none

    low, high = ttest_rel(second, first).confidence_interval(CONFIDENCE)
    return centre, float(high - low) / 2


def columns_of(table: Mapping[Run, Scores]) -> list[str]:
    """The names of all scores, in order of appearance."""
    return list(dict.fromkeys(column for scores in table.values() for column in scores))


def score_tables(table: Mapping[Run, Scores], without: Collection[str] = ()) -> tuple[Table, Table]:
    """Mean and standard deviation over seeds, and the paired difference to the first loss.

    Args:
        table: rows of one or several seeds. The highest mean of each score is bold.
        without: scores to leave out.
    """
    columns = [column for column in columns_of(table) if column not in without]
    num_seeds = len({seed for _, seed in table})
    over = f": mean ± standard deviation over {num_seeds} seeds" if num_seeds > 1 else ""
    means = Table(title=f"Test split, per cent{over}")
    paired = Table(title="Difference to the first, same seeds: mean ± 95 % t interval")
    for one in (means, paired):
        one.title_justify = "left"
        one.add_column("loss", overflow="fold")
        for column in columns:
            one.add_column(column, justify="right")
    losses = list(dict.fromkeys(loss for loss, _ in table))
    best = _highest_means(table, columns) if len(losses) > 1 else set()
    for loss in losses:
        mine = [by_seed(table, loss, column) for column in columns]
        cells = [_shown(spread(list(v.values()))) if v else "–" for v in mine]
        style = ["bold" if (loss, column) in best else "" for column in columns]
        means.add_row(Text(loss), *map(Text, cells, style))
        if loss != losses[0]:
            first = [by_seed(table, losses[0], column) for column in columns]
            pairs = zip(first, mine, strict=True)
            paired.add_row(
                Text(loss),
                *(
                    _shown(difference_over_seeds(a, b), "+") if a.keys() & b else "–"
                    for a, b in pairs
                ),
            )
    return means, paired


def _highest_means(table: Mapping[Run, Scores], columns: Sequence[str]) -> set[tuple[str, str]]:
    """(loss, score) of the highest mean of each score."""
    found = set()
    for column in columns:
        every = {loss: by_seed(table, loss, column).values() for loss, _ in table}
        means = {loss: mean(values) for loss, values in every.items() if values}
        found |= {(loss, column) for loss, one in means.items() if one == max(means.values())}
    return found


def by_seed(table: Mapping[Run, Scores], loss: str, column: str) -> dict[int, float]:
    """Seed -> score of one loss, without the seeds that have none."""
    found = {seed: scores.get(column) for (name, seed), scores in table.items() if name == loss}
    return {seed: score for seed, score in found.items() if score is not None}


def _shown(pair: tuple[float, float | None], sign: str = "") -> str:
    centre, width = pair
    text = f"{100 * centre:{sign}.1f}"
    return text if width is None else f"{text} ± {100 * width:.1f}"


def draw_scores(path: Path, table: Mapping[Run, Scores]) -> None:
    """A picture with one panel for each score: a dot for each seed, a bar for each mean."""
    losses = list(dict.fromkeys(loss for loss, _ in table))
    columns = columns_of(table)
    size = (2.3 * len(columns) + 1.2, 0.38 * len(losses) + 1.1)
    with drawn(path, dpi=150, figsize=size) as figure:
        panels: Any = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, column in zip(panels, columns, strict=True):
            for place, loss in enumerate(losses):
                scores = [100 * score for score in by_seed(table, loss, column).values()]
                axes.plot(scores, [place] * len(scores), "o", color="#7f9fc9", markersize=4)
                if scores:
                    axes.plot(mean(scores), place, "|", color="#1f3f6f", markersize=16, mew=2)
            axes.set_title(column, fontsize=9, loc="left")
            axes.grid(axis="x", linewidth=0.5, color="#dddddd")
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(labelsize=8, left=False)
            axes.set_xlabel("per cent", fontsize=8)
        panels[0].set_yticks(range(len(losses)), losses)
        panels[0].set_ylim(len(losses) - 0.5, -0.5)
