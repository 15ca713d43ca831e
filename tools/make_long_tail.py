"""Draws a long-tailed subset of any list: ``tools/make_long_tail.py --cfg FILE --out DIR``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("make-long-tail"))
