"""Features: ``python tools/extract_features.py --checkpoint best.pt --out features.npz``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("extract-features"))
