"""Arguments that several commands share."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cdb_video.errors import ConfigError

if TYPE_CHECKING:
    from cdb_video.data.lists.records import Record
    from cdb_video.engine.use.predictor import Predictor


def model_parser(prog: str | None, description: str) -> argparse.ArgumentParser:
    """A parser of ``--checkpoint``, ``--device`` and ``--imports``."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, metavar="FILE", help="such as best.pt of a run")
    add("--device", default="auto", help="auto, cpu or cuda (auto)")
    add("--imports", nargs="*", default=[], metavar="MODULE", help="your modules to import first")
    return parser


def add_loading(parser: argparse.ArgumentParser) -> None:
    """Adds ``--batch-size`` and ``--workers``."""
    add = parser.add_argument
    add("--batch-size", type=positive, default=8, metavar="N", help="clips at a time (8)")
    add("--workers", type=natural, default=2, metavar="N", help="processes that decode (2)")


def add_videos(parser: argparse.ArgumentParser, nargs: str) -> None:
    """Adds the videos, ``--root`` and ``--damage``, for the functions below."""
    add = parser.add_argument
    listed = "files, folders, or CSV files with path and perhaps start,end (docs/lists.md)"
    add("videos", nargs=nargs, metavar="VIDEO", help=listed)
    add_root(parser)
    text = "what happens to damaged files, as DATA.DAMAGE (as in training)"
    add("--damage", choices=("accept", "refuse", "strict"), help=text)


def add_root(parser: argparse.ArgumentParser) -> None:
    """Adds ``--root``, for ``found_videos``."""
    text = "where paths in CSV files begin (their folder)"
    parser.add_argument("--root", type=Path, metavar="DIR", help=text)


def found_videos(sources: list[str], root: Path | None) -> list["Record"]:
    """The videos that a command line names; says what is left out. Raises ``DataError``."""
    from cdb_video.data.lists.found import find_videos

    return find_videos(sources, root, lambda text: print(text, file=sys.stderr))


def opened_predictor(words: argparse.Namespace) -> "Predictor":
    """The model of ``--checkpoint``, which takes files as ``--damage`` says."""
    from cdb_video.engine.use.predictor import load

    predictor = load(words.checkpoint, words.device, words.imports)
    if words.damage:
        predictor.decoding = replace(predictor.decoding, damage=words.damage)
    return predictor


def add_shard(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--shard``, which ``read_shard`` reads."""
    text = f"take every N-th {what}, the I-th first, from 0"
    parser.add_argument("--shard", default="", metavar="I/N", help=text)


def read_shard(text: str) -> tuple[int, int]:
    """(index of this share, number of shares), typed or from torchrun. Raises ``ConfigError``."""
    if not text:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ConfigError(f"--shard must be I/N with I from 0 to N - 1, such as 0/4, got {text!r}")
    return int(index), int(count)


def positive(text: str) -> int:
    """An integer of at least 1."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """An integer of at least 0."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"must be an integer >= {least}, got {text}")
    return number
