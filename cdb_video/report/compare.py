"""One table over several tested runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from cdb_video.report.scores import read_scores

LEFT_OUT = ("mean class F1", "worst class recall")
"""Scores for which a terminal of 80 columns has no room."""


def comparison_rows(runs: Mapping[str, Path]) -> list[dict[str, Any]]:
    """One dict a run: ``run``, then the same scores for all, as fractions in [0, 1].

    The scores are those of ``read_scores`` but for ``LEFT_OUT``, with the groups of any run in the
    order in which they are met; None where a run lacks one.

    Args:
        runs: name -> OUTPUT_DIR.

    Raises:
        DataError: if a run has no readable ``test/metrics.json``.
    """
    scores = {name: read_scores(Path(folder)) for name, folder in runs.items()}
    columns = dict.fromkeys(column for found in scores.values() for column in found)
    for column in LEFT_OUT:
        columns.pop(column, None)
    return [
        {"run": name, **{column: found.get(column) for column in columns}}
        for name, found in scores.items()
    ]


def comparison_table(runs: Mapping[str, Path]) -> Table:
    """``comparison_rows`` in per cent, for the terminal; the best of each column is bold."""
    rows = comparison_rows(runs)
    table = Table(title="Scores on the test split, in per cent", title_justify="left")
    columns = list(rows[0]) if rows else ["run"]
    best = {
        column: max((row[column] for row in rows if row[column] is not None), default=None)
        for column in columns[1:]
    }
    for column in columns:
        is_name = column == "run"
        table.add_column(Text(column), justify="left" if is_name else "right", no_wrap=is_name)
    for row in rows:
        cells = [Text(row["run"])]
        for column in columns[1:]:
            score = row[column]
            is_best = len(rows) > 1 and score is not None and score == best[column]
            text = "–" if score is None else f"{100 * score:.1f}"
            cells.append(Text(text, style="bold" if is_best else ""))
        table.add_row(*cells)
    return table
