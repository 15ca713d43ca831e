"""One table over several tested runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from cdb_video.errors import DataError
from cdb_video.report.run_files import read_metrics


def comparison_rows(runs: Mapping[str, Path]) -> list[dict[str, Any]]:
    """One dict a run: ``run``, then the same scores for all, as fractions in [0, 1].

    The scores are ``top-1``, ``mean class recall``, ``mean class precision`` and ``<group> recall``
    for each group of any run, in the order of the ``metrics.json`` files; None where a run lacks
    one.

    Args:
        runs: name -> OUTPUT_DIR.

    Raises:
        DataError: if a run has no readable ``test/metrics.json``.
    """
    metrics = {}
    for name, folder in runs.items():
        found = read_metrics(Path(folder))
        if found is None:
            raise DataError(f"{folder} has no test/metrics.json: test the run first")
        metrics[name] = found
    groups = dict.fromkeys(group for m in metrics.values() for group in m.get("groups", {}))
    return [
        {
            "run": name,
            "top-1": m.get("top1"),
            "mean class recall": m.get("mean_class_recall"),
            "mean class precision": m.get("mean_class_precision"),
            **{f"{g} recall": m.get("groups", {}).get(g, {}).get("recall") for g in groups},
        }
        for name, m in metrics.items()
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
