"""Predicts videos: ``python tools/predict.py --checkpoint best.pt FILE_FOLDER_OR_CSV ...``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("predict"))
