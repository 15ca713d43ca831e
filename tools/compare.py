"""Compares losses: ``python tools/compare.py --cfg FILE --losses A,B --seeds 3 KEY VALUE ...``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("compare"))
