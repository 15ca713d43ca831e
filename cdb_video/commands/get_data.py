"""The command ``get-data``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cdb_video.fetch.get import NAMES, get_data


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Gets a data set, or says how. Raises ``DataError``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Get a data set and check it. Run the same command again to resume.",
    )
    parser.add_argument("name", choices=NAMES, help="data set")
    parser.add_argument("--out", type=Path, help="folder to put it into (datasets/NAME)")
    parser.add_argument("--from", type=Path, dest="path", help="folder or archive to convert")
    words = parser.parse_args(argv)
    get_data(words.name, words.out or Path("datasets", words.name), words.path)
