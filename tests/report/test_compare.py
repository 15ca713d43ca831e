"""The table over several runs."""

import io
import json

import pytest
from rich.console import Console

from cdb_video.errors import DataError
from cdb_video.report.compare import comparison_rows, comparison_table


@pytest.fixture
def runs(tmp_path):
    scores = {
        "ce": (0.8, 0.5, 0.7, {"majority": 0.9, "minority": 0.123}),
        "cdb [x]": (0.7, 0.6, 0.65, {"majority": 0.85, "minority": None}),
    }
    folders = {}
    for name, (top1, recall, precision, groups) in scores.items():
        folders[name] = tmp_path / name
        (folders[name] / "test").mkdir(parents=True)
        metrics = {
            "top1": top1,
            "mean_class_recall": recall,
            "mean_class_precision": precision,
            "groups": {g: {"num_classes": 2, "recall": r} for g, r in groups.items()},
        }
        (folders[name] / "test" / "metrics.json").write_text(json.dumps(metrics))
    return folders


def test_rows_hold_the_fractions_of_each_run(runs):
    assert comparison_rows(runs) == [
        {
            "run": "ce",
            "top-1": 0.8,
            "mean class recall": 0.5,
            "mean class precision": 0.7,
            "majority recall": 0.9,
            "minority recall": 0.123,
        },
        {
            "run": "cdb [x]",
            "top-1": 0.7,
            "mean class recall": 0.6,
            "mean class precision": 0.65,
            "majority recall": 0.85,
            "minority recall": None,
        },
    ]


def test_table_prints_per_cent_and_the_names_as_they_are(runs):
    console = Console(file=io.StringIO(), width=120)
    console.print(comparison_table(runs))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    cells = [[word for word in line if word not in "│┃"] for line in lines]
    assert ["ce", "80.0", "50.0", "70.0", "90.0", "12.3"] in cells
    assert ["cdb", "[x]", "70.0", "60.0", "65.0", "85.0", "–"] in cells


def test_the_best_of_each_column_is_bold(runs):
    table = comparison_table(runs)
    bold = [[cell.style == "bold" for cell in column.cells] for column in table.columns[1:]]
    assert bold == [[True, False], [False, True], [True, False], [True, False], [True, False]]


def test_a_run_without_a_test_is_named(tmp_path):
    with pytest.raises(DataError, match="has no test/metrics.json: test the run first"):
        comparison_rows({"a": tmp_path})
