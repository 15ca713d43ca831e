"""``python -m cdb_video WORD`` is ``cdb-video WORD``, also in a clone without installation."""

import sys

from cdb_video.commands import main

if __name__ == "__main__":  # spawned workers import this file, too
    sys.exit(main())
