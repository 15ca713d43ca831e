"""The whole way on made videos: ``python tools/demo.py``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("demo"))
