"""Compares losses: ``python tools/compare.py --cfg FILE --losses A,B --seeds 3 KEY VALUE ...``."""

import argparse
import sys
from pathlib import Path

from cdb_video.cli import shown_in_one_line
from cdb_video.compare import compare


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train and test losses over seeds, all else equal."
    )
    parser.add_argument("--cfg", type=Path, required=True, help="YAML file with options")
    parser.add_argument(
        "--losses",
        required=True,
        help="names, separated by commas; options of one as in cdb_ce:tau=1.5:min_weight=0.2",
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each loss (3)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="options")
    # --opts before the options is allowed, as in PySlowFast.
    words = parser.parse_args([word for word in sys.argv[1:] if word != "--opts"])
    if words.seeds < 1:
        parser.error(f"--seeds must be an integer >= 1, got {words.seeds}")
    folder = compare(words.cfg, words.opts, words.losses.split(","), words.seeds)
    print(", ".join(str(folder / f"compare.{kind}") for kind in ("csv", "md", "png")))


if __name__ == "__main__":
    sys.exit(shown_in_one_line(main))
