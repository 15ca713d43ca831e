"""Checks a backbone and measures its cost: ``python tools/check_backbone.py NAME KEY VALUE ...``.

--imports MODULE names your own file; exit code 1 means that a check failed.
"""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("check-backbone"))
