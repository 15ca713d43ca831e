"""Make the demo data: ``python tools/make_demo_data.py --out datasets/demo [--seed 0]``."""

import argparse
import sys
from pathlib import Path

from cdb_video.data.demo_egtea import make_demo_data
from cdb_video.errors import CdbVideoError


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Make the demo data: photographs under ten camera motions, laid out as EGTEA."
    )
    parser.add_argument("--out", type=Path, default=Path("datasets/demo"), help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="other clips for each (>= 0)")
    arguments = parser.parse_args()
    try:
        make_demo_data(arguments.out, arguments.seed)
    except CdbVideoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
