"""The command ``demo-data``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cdb_video.demo.egtea import make_demo_data


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Makes the demo data. Raises ``CdbVideoError``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Make the demo data: photographs under ten camera motions, laid out as EGTEA.",
    )
    parser.add_argument("--out", type=Path, default=Path("datasets/demo"), help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="other clips for each (>= 0)")
    words = parser.parse_args(argv)
    make_demo_data(words.out, words.seed)
