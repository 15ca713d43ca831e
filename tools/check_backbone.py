"""Checks a backbone and measures its cost: ``python tools/check_backbone.py NAME KEY VALUE ...``.

--imports MODULE names your own file; exit code 1 means that a check failed.
"""

import sys

from cdb_video import check_backbone
from cdb_video.cli import shown_in_one_line

if __name__ == "__main__":
    sys.exit(shown_in_one_line(check_backbone.main))
