"""Runs side by side: differences against sums by hand, and what makes them comparable."""

import csv
import shutil

import numpy as np
import pytest
from fake_run import FakeRun
from page_parser import Page
from scipy.stats import binomtest

from cdb_video.commands import run
from cdb_video.errors import DataError
from cdb_video.report.versus import write_comparison


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on the same clips; the second recognises 30 more of class 2 and 10 fewer of 0."""
    root = tmp_path_factory.mktemp("runs")
    first = FakeRun(root / "first", 6, samples=900, names=["<a>", "b", "c", "d", "e", "f"])
    first.write_test()
    shutil.copytree(root / "first", root / "second")
    path = root / "second" / "test" / "predictions.csv"
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    gained = [row for row in rows if row[4] == "2" and row[5] != "2"][:30]
    lost = [row for row in rows if row[4] == row[5] == "0"][:10]
    for row in gained:
        row[5] = "2"
    for row in lost:
        row[5] = "1"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return first, root / "second", len(gained), len(lost)


def test_the_page_has_the_differences(runs, tmp_path):
    first, second, gained, lost = runs
    text = write_comparison(tmp_path / "page.html", [first.folder, second]).read_text()
    page = Page(text)
    assert page.errors == []
    assert "<a>" not in text
    [table] = [rows for name, rows in page.tables.items() if name.startswith("Against")]
    name, points, interval, only_first, only_second, p_value = table[1]
    assert name == str(second)
    assert (int(only_first), int(only_second)) == (lost, gained)
    with (first.folder / "test" / "predictions.csv").open(newline="") as file:
        labels = np.array([int(row["label"]) for row in csv.DictReader(file)])
    wanted = 100 * (gained / (labels == 2).sum() - lost / (labels == 0).sum()) / 6
    assert float(points) == pytest.approx(wanted, abs=0.051)
    low, high = map(float, interval.split(" to "))
    assert low < float(points) < high
    exact = binomtest(gained, gained + lost).pvalue
    assert float(p_value) == pytest.approx(exact, rel=0.05)
    gains = next(rows for name, rows in page.tables.items() if "gain most" in name)
    losses = next(rows for name, rows in page.tables.items() if "lose most" in name)
    assert [row[0] for row in gains[1:]] == ["c"]
    assert [row[0] for row in losses[1:]] == ["<a>"]
    assert "Clips on which they disagree" in page.headings
    assert text.count("<figcaption>") == min(24, gained + lost)


def test_only_runs_on_the_same_clips_are_compared(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, _, _ = runs
    assert run("compare-runs", [str(first.folder), str(second)]) == 0
    assert capsys.readouterr().out.strip() == "comparison.html"
    other = FakeRun(tmp_path / "other", 6, samples=100, seed=3)
    other.write_test()
    assert run("compare-runs", [str(first.folder), str(other.folder), "--out", "x.html"]) == 2
    assert "must be tested on the same clips" in capsys.readouterr().err
    assert run("compare-runs", [str(first.folder), "--out", "x.html"]) == 2
    assert "at least two" in capsys.readouterr().err
    with pytest.raises(DataError, match="test the run first"):
        write_comparison(tmp_path / "x.html", [first.folder, tmp_path])
    assert not (tmp_path / "x.html").exists()
