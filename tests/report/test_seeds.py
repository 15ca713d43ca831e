"""Tables, a file and a picture of several runs."""

import csv
import io
import math

import numpy as np
import pytest
from rich.console import Console

from cdb_video.errors import DataError
from cdb_video.report import seeds
from cdb_video.report.scores import read_scores

TABLE = {
    ("ce", 0): {"top-1": 0.50, "few recall": None},
    ("cdb", 0): {"top-1": 0.60, "few recall": 0.2},
    ("ce", 1): {"top-1": 0.70, "few recall": None},
    ("cdb", 1): {"top-1": 0.74, "few recall": 0.4},
    ("ce", 2): {"top-1": 0.60, "few recall": None},
    ("cdb", 2): {"top-1": 0.61, "few recall": 0.6},
}


def test_the_paired_difference_has_a_t_interval():
    ones, others = (seeds.by_seed(TABLE, loss, "top-1") for loss in ("ce", "cdb"))
    centre, half = seeds.difference_over_seeds(ones, others)
    differences = np.array([0.10, 0.04, 0.01])
    assert centre == pytest.approx(differences.mean())
    # 4.3027 is the 97.5 % point of Student's t with 2 degrees of freedom, from printed tables.
    assert half == pytest.approx(4.3027 * differences.std(ddof=1) / math.sqrt(3), rel=1e-4)


def test_one_seed_has_no_spread():
    assert seeds.spread([0.5]) == (0.5, None)
    assert seeds.difference_over_seeds({3: 0.5}, {3: 0.75}) == (0.25, None)


def test_tables_show_per_cent_and_gaps():
    screen = Console(width=120, record=True, file=io.StringIO())
    means, paired = seeds.score_tables(TABLE)
    screen.print(means, paired)
    text = screen.export_text()
    assert "over 3 seeds" in text
    assert "60.0 ± 10.0" in text
    assert "40.0 ± 20.0" in text
    assert "+5.0 ± 11.4" in text
    assert "–" in text
    assert paired.row_count == 1


ONE_SEED = {
    ("ce", 0): {"top-1": 0.8, "mean class F1": 0.1, "majority recall": 0.9},
    ("cdb [x]", 0): {"top-1": 0.7, "majority recall": None, "minority recall": 0.123},
}


def test_one_seed_needs_no_spread_and_scores_of_any_run_have_a_column():
    screen = Console(width=80, record=True, file=io.StringIO())
    means, _ = seeds.score_tables(ONE_SEED, seeds.NO_ROOM)
    screen.print(means)
    lines = [line.split() for line in screen.export_text().splitlines()]
    cells = [[word for word in line if word not in "│┃"] for line in lines]
    assert ["Test", "split,", "per", "cent"] in cells
    assert ["ce", "80.0", "90.0", "–"] in cells
    assert ["cdb", "[x]", "70.0", "–", "12.3"] in cells
    bold = [[cell.style == "bold" for cell in column.cells] for column in means.columns[1:]]
    assert bold == [[True, False], [True, False], [False, True]]


def test_the_best_mean_is_bold_where_there_is_another():
    means, _ = seeds.score_tables(TABLE)
    assert [cell.style for cell in list(means.columns[1].cells)] == ["", "bold"]
    alone, _ = seeds.score_tables({("ce", 0): {"top-1": 0.5}})
    assert [cell.style for cell in list(alone.columns[1].cells)] == [""]


def test_the_csv_holds_every_run(tmp_path):
    seeds.write_table(tmp_path / "compare.csv", TABLE)
    with open(tmp_path / "compare.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss"], row["seed"]) for row in rows] == [(a, str(b)) for a, b in TABLE]
    assert rows[0]["few recall"] == ""
    assert float(rows[1]["top-1"]) == 0.6


def test_the_picture_is_drawn_also_with_gaps(tmp_path):
    seeds.draw_scores(tmp_path / "compare.png", TABLE)
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_a_test_is_named(tmp_path):
    with pytest.raises(DataError, match="has no test/metrics.json"):
        read_scores(tmp_path)
