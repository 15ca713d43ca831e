"""Exports: ``python tools/export.py --checkpoint best.pt --format onnx --out model.onnx``."""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("export"))
