"""Says how long the tail of a data set is: ``python tools/describe_data.py --cfg FILE``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("describe-data"))
