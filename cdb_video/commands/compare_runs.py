"""The command ``compare-runs``: tested runs side by side, clip by clip."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Writes a page and says where it is. Raises ``DataError``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compare runs that were tested on the same clips. The first is what the others "
        "are compared with.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="OUTPUT_DIR", help="tested runs")
    parser.add_argument(
        "--out", type=Path, default=Path("comparison.html"), metavar="FILE", help="page to write"
    )
    words = parser.parse_args(argv)
    from cdb_video.report.versus import write_comparison  # slow to import, so not by --help

    print(write_comparison(words.out, words.runs))
