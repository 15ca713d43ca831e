"""The command ``replay-batch``."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs a bad batch again; returns 1 where it is not finite. Raises ``CdbVideoError``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run the clips of a step again whose loss was not finite, on the CPU in "
        "float32, and say where that begins.",
    )
    parser.add_argument("file", type=Path, help="bad_batch.pt in the OUTPUT_DIR of a run")
    words = parser.parse_args(argv)
    from cdb_video.doctor.replay import replay

    result = replay(words.file)
    print(f"epoch {result.epoch}, step {result.step}")
    for clip in result.clips:
        print(
            f"{clip.path}: class {clip.label} of weight {clip.weight:.4g}, loss {clip.loss:.4g}, "
            f"largest logit {clip.largest_logit:.4g}"
        )
    print(f"first output that is not finite: {result.first_module or 'none'}")
    print(f"first gradient that is not finite: {result.first_gradient or 'none'}")
    return 1 if result.first_module or result.first_gradient else 0
