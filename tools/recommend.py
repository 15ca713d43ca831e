"""Says which losses to try first on a data set: ``python tools/recommend.py --cfg FILE``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("recommend"))
