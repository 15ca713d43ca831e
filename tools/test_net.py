"""Tests a checkpoint: ``python tools/test_net.py --cfg FILE KEY VALUE ...``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("test"))
