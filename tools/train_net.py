"""Trains a model: ``python tools/train_net.py --cfg FILE KEY VALUE ...``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("train"))
