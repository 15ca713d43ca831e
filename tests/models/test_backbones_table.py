"""The table in docs/backbones.md against the registry, another counter and published numbers."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cdb_video.models import build_model, cost
from cdb_video.registry import BACKBONES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backbones.md").read_text()
REMEDY = "docs/backbones.md is not up to date: run make backbones-table"
PUBLISHED = {
    # name: (number of classes, millions of parameters, GMACs, (T, H, W) or None where not checked)
    "resnext3d": (19, 47.6, 29.2, (10, 224, 224)),
}


@pytest.fixture(scope="module")
def table():
    """The program that writes the table."""
    spec = importlib.util.spec_from_file_location("table", ROOT / "tools" / "backbones_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count_again(name, num_classes, device):
    """A classifier and the GMACs of a clip by torch's own counter, which leaves norms out."""
    with torch.device(device), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = build_model(name, num_classes).eval()
        frames, size = model.input_format[:2]
        model(torch.zeros(1, 3, frames, size, size))
    return model, counter.get_total_flops() / 2e9


def test_all_backbones_are_in_the_table_in_order():
    names = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert names == BACKBONES.names(), REMEDY


@pytest.mark.parametrize("name", BACKBONES.names())
def test_a_row_is_up_to_date(table, name):
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")] or [REMEDY]
    try:
        model, again = count_again(name, table.NUM_CLASSES, "meta")
    except RuntimeError:  # some networks look at values, of which "meta" has none
        model, again = count_again(name, table.NUM_CLASSES, "cpu")
    gmacs = float(line.split(" | ")[4])
    assert line == table.row(name, model, gmacs), REMEDY
    assert gmacs == pytest.approx(again, rel=0.05), REMEDY


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(name):
    num_classes, millions, gmacs, shape = PUBLISHED[name]
    model = build_model(name, num_classes)
    digits = len(str(millions).split(".")[1])
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, digits) == millions
    if gmacs:
        counted, _ = cost.count_gmacs(model, torch.zeros(1, 3, *shape))
        assert counted == pytest.approx(gmacs, rel=0.005)
