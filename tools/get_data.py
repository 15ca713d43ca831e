"""Gets a data set: ``python tools/get_data.py NAME [--source debian|npm] [--from PATH]``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("get-data"))
