"""Makes the demo data: ``python tools/make_demo_data.py --out datasets/demo [--seed 0]``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("demo-data"))
