"""Lists every backbone, loss, dataset and sampler: ``python tools/list.py [MODULE ...]``."""

import sys

from cdb_video import listing
from cdb_video.cli import shown_in_one_line

if __name__ == "__main__":
    sys.exit(shown_in_one_line(listing.main))
