"""Makes clips small and quick to decode: ``python tools/pack_data.py --cfg FILE --out DIR``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("pack-data"))
