"""The arguments ``--cfg FILE KEY VALUE ...``, which many commands take."""

import argparse
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdb_video import distributed, options
from cdb_video.config.docs import option_help
from cdb_video.errors import CdbVideoError
from cdb_video.options import Config

TRUST = "--trust-imports"
PAUSE = 50
"""At most a fiftieth of a run's time goes into its report."""


class _Help(argparse.Action):
    """Prints the help and exits. Only this reads the documentation of every option."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.epilog = f"Options, as KEY [allowed values; default]:\n\n{option_help(Config)}"
        parser.print_help()
        parser.exit()


def make_parser(prog: str | None, description: str, usage: str) -> argparse.ArgumentParser:
    """A parser of ``--cfg FILE`` and ``KEY VALUE ...``, with ``usage`` between the two."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"%(prog)s [-h] --cfg FILE [{TRUST}] {usage}[KEY VALUE ...]",
        description=textwrap.fill(description, 98),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="show this and every option")
    parser.add_argument(
        "--cfg", type=Path, required=True, metavar="FILE", help="YAML file with options"
    )
    parser.add_argument(
        TRUST,
        action="store_true",
        help="import the modules that FILE names in IMPORTS: they are code, and may be anyone's",
    )
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="options over those in FILE; --opts before them is allowed",
    )
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line. ``--opts`` before the options is allowed, as in PySlowFast."""
    given = sys.argv[1:] if argv is None else argv
    return parser.parse_args(_options_first(parser, [word for word in given if word != "--opts"]))


def _options_first(parser: argparse.ArgumentParser, given: Sequence[str]) -> list[str]:
    """The words with ``--options`` before KEY VALUE, which would take all that follows."""
    takes = {name: action.nargs for action in parser._actions for name in action.option_strings}
    first, others, rest = [], [], list(given)
    while rest:
        word = rest.pop(0)
        if word not in takes:
            others.append(word)
        else:
            first.append(word)
            if takes[word] is None and rest:
                first.append(rest.pop(0))
    return first + others


def read_config(
    argv: Sequence[str] | None,
    prog: str | None,
    description: str,
    short: Mapping[str, str] | None = None,
) -> Config:
    """The options that the command line asks for.

    Args:
        short: short form of a key -> key.

    Raises:
        ConfigError: a wrong key, type, choice or range.
    """
    words = parse(make_parser(prog, description, ""), argv)
    opts = list(words.opts)
    opts[::2] = [(short or {}).get(key, key) for key in opts[::2]]
    return options.load(words.cfg, opts, trust_imports=words.trust_imports)


class LiveReport:
    """Writes the report of a running training, often enough to watch it and never for long.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._due = folder, 0.0

    def update(self) -> None:
        """Writes the report, unless ``PAUSE`` times its last duration has not passed since then."""
        begun = time.monotonic()
        if begun < self._due:
            return
        from cdb_video.report.page import write_report

        try:
            write_report(self._folder, strips=False)
        except (CdbVideoError, OSError) as error:  # the run is worth more than its report
            print(f"warning: the report could not be updated: {error}", file=sys.stderr)
        took = time.monotonic() - begun
        self._due = begun + (1 + PAUSE) * took


def report(folder: Path) -> None:
    """Writes the report of a run and prints where it is, in the main process only."""
    if distributed.is_main():
        from rich.console import Console

        from cdb_video.report.page import write_report

        # rich would read a folder called [/x] as markup.
        Console(markup=False).print(f"report: {write_report(folder)}", soft_wrap=True)
