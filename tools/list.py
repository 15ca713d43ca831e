"""Lists every component: ``python tools/list.py [MODULE ...]``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("list"))
