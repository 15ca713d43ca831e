"""Runs a step again whose loss was not finite: ``python tools/replay_batch.py FILE``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("replay-batch"))
