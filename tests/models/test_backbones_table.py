"""The table in docs/backbones.md against the registry and published numbers."""

import importlib.util
from functools import partial
from pathlib import Path

import pytest
from models.small import marked_slow

from cdb_video.models import build_model, cost
from cdb_video.registry import BACKBONES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backbones.md").read_text()
SLOW = ("mvit_b", "timesformer", "videomae", "vivit", "vjepa2")
"""Whose row takes 5 to 10 seconds."""
REMEDY = "docs/backbones.md is not up to date: run make backbones-table"
PUBLISHED = {
    # name: (number of classes, millions of parameters, GMACs, (T, H, W) or None where not checked)
    "resnext3d": (19, 47.6, 29.2, (10, 224, 224)),
    "slow_r50": (400, 32.5, None, None),
    "x3d_m": (400, 3.79, None, None),
}


@pytest.fixture(scope="module")
def table():
    """The program that writes the table."""
    spec = importlib.util.spec_from_file_location("table", ROOT / "tools" / "backbones_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_backbones_are_in_the_table_in_order():
    names = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert names == BACKBONES.names(), REMEDY


@pytest.mark.parametrize("name", marked_slow(BACKBONES.names(), SLOW))
def test_a_row_is_up_to_date(table, name):
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")] or [REMEDY]
    assert line == table.row(name), REMEDY


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(name):
    num_classes, millions, gmacs, shape = PUBLISHED[name]
    build = partial(build_model, name, num_classes)
    digits = len(str(millions).split(".")[1])
    assert round(sum(p.numel() for p in build().parameters()) / 1e6, digits) == millions
    if gmacs:
        assert round(cost.count_gmacs(build, (3, *shape)), 1) == gmacs
