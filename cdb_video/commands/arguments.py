"""What the commands that use a checkpoint share."""

import argparse
from pathlib import Path


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
