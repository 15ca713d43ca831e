"""Writes the table in docs/backbones.md: ``python tools/backbones_table.py``."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cdb_video.commands.check_backbone import NUM_CLASSES
from cdb_video.models import build_model, cost
from cdb_video.registry import BACKBONES

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
MARK = "<!-- the table between these two lines is written by tools/backbones_table.py -->\n"
HEAD = "| backbone | what it is | T x H x W | parameters, M | GMACs | file |\n" + 6 * "|---" + "|"


def row(name: str) -> str:
    """The line of a backbone with its default options."""
    with torch.device("meta"):
        model: Any = build_model(name, NUM_CLASSES)
    frames, size = model.input_format[:2]
    gmacs = cost.count_gmacs(partial(build_model, name, NUM_CLASSES), (3, frames, size, size))
    what = BACKBONES.summary(name).replace("``", "`").replace("|", r"\|")
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    path = Path(inspect.getfile(BACKBONES.get(name))).relative_to(PAGE.parents[1])
    cells = (f"`{name}`", what, f"{frames} x {size} x {size}", f"{millions:.4g}", f"{gmacs:.4g}")
    return f"| {' | '.join(cells)} | [{path.name}](../{path.as_posix()}) |"


def main() -> None:
    rows = [HEAD, *(row(name) for name in BACKBONES.names())]
    before, _, after = PAGE.read_text(encoding="utf-8").split(MARK)
    PAGE.write_text(MARK.join([before, "\n".join(["", *rows, "", ""]), after]), encoding="utf-8")


if __name__ == "__main__":
    main()
