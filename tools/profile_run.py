"""Says where the time of training goes: ``python tools/profile_run.py --cfg FILE``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("profile-run"))
