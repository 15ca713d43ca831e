"""The command ``demo``: the whole way on made videos, cross entropy against CDB."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cdb_video import commands
from cdb_video.demo import CONFIG
from cdb_video.demo.egtea import make_demo_data

LOSSES = {"cross entropy": "cross_entropy", "CDB": "cdb_ce"}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Makes the data, trains and tests both losses, prints a table; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Make 688 clips, train and test cross entropy and CDB on them, print a table.",
    )
    parser.add_argument("--data", type=Path, default=Path("datasets/demo"), help="for the clips")
    parser.add_argument("--out", type=Path, default=Path("output/demo"), help="for the two runs")
    words = parser.parse_args(argv)
    make_demo_data(words.data)
    runs = {}
    for title, loss in LOSSES.items():
        runs[title] = words.out / loss
        opts = ["--cfg", str(CONFIG), "LOSS.NAME", loss, "OUTPUT_DIR", str(runs[title])]
        for word in ("train", "test"):
            code = commands.run(word, [*opts, "DATA.EGTEA.ROOT", str(words.data)])
            if code:
                return code
    # Slow to import, so not by --help.
    from cdb_video.report.scores import read_scores
    from cdb_video.report.seeds import NO_ROOM, score_tables

    screen = Console(markup=False)
    screen.print(score_tables({(n, 0): read_scores(f) for n, f in runs.items()}, NO_ROOM)[0])
    for title, folder in runs.items():
        screen.print(f"report of {title}: {folder / 'report.html'}", soft_wrap=True)
    return 0
