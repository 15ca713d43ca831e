"""Looks a setup over before a run: ``python tools/doctor.py --cfg FILE``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("doctor"))
