"""README.md and docs/results.md show the advice that ``recommend`` gives."""

from pathlib import Path

import pytest

from cdb_video.doctor.advice import TABLE

ROOT = Path(__file__).parents[2]


def rows_of(page):
    """The cells of each row of the table that begins with "your data"."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| your data |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


@pytest.mark.parametrize(("page", "columns"), [("README.md", 2), ("docs/results.md", 3)])
def test_the_table_is_that_of_advice(page, columns):
    assert rows_of(page) == [tuple(row)[:columns] for row in TABLE]
