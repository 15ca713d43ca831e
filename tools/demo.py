"""The whole way on made videos: cross entropy against CDB, ``python tools/demo.py``."""

import sys
from pathlib import Path

from rich.console import Console

from cdb_video.cli import run
from cdb_video.data.demo_egtea import make_demo_data
from cdb_video.report import comparison_table

CONFIG = "configs/demo_cdb.yaml"
LOSSES = {"cross entropy": "cross_entropy", "CDB": "cdb_ce"}


def main() -> int:
    make_demo_data(Path("datasets/demo"))
    runs = {}
    for title, loss in LOSSES.items():
        runs[title] = Path("output/demo", loss)
        words = ["--cfg", CONFIG, "LOSS.NAME", loss, "OUTPUT_DIR", str(runs[title])]
        for command in ("train", "test"):
            code = run(command, words)
            if code:
                return code
    screen = Console()
    screen.print(comparison_table(runs))
    for title, folder in runs.items():
        screen.print(f"report of {title}: {folder / 'report.html'}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
