"""Explains: ``python tools/explain.py --checkpoint best.pt VIDEO ...``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("explain"))
