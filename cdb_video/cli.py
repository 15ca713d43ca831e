"""The command line: ``cdb-video train``, ``test`` and so on, the same as ``tools/*.py``."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from cdb_video import __version__, check_backbone, distributed, listing, options
from cdb_video.engine import retrain, test, train
from cdb_video.engine.retrain import method_folder
from cdb_video.errors import CdbVideoError
from cdb_video.option_docs import option_help
from cdb_video.options import Config
from cdb_video.report import write_report


class Command(NamedTuple):
    """What a word after ``cdb-video`` does."""

    function: Callable[[Config], Any]
    description: str
    folder: Callable[[Config], Path] = lambda config: Path(config.output_dir)
    """Where the report goes."""
    short: dict[str, str] = {}
    """Short form of a key -> key."""


COMMANDS = {
    "train": Command(train, "Train a model; go on where an earlier run in OUTPUT_DIR stopped."),
    "test": Command(
        test, "Test a checkpoint, OUTPUT_DIR's best.pt unless TEST.CHECKPOINT_FILE_PATH."
    ),
    "retrain": Command(
        retrain,
        "Make and test another classifier on the frozen backbone of a checkpoint, OUTPUT_DIR's "
        "best.pt unless TEST.CHECKPOINT_FILE_PATH. METHOD crt, lws, tau_norm or ncm (short for "
        "STAGE2.METHOD) says how; the result goes to OUTPUT_DIR/<method>.",
        folder=method_folder,
        short={"METHOD": "STAGE2.METHOD"},
    ),
}
OF_COMPONENTS: dict[str, Callable[[Sequence[str], str], int | None]] = {
    "list": listing.main,
    "check-backbone": check_backbone.main,
}
"""Commands that need no config: word -> function of (arguments, name of the program)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``cdb-video COMMAND ARGUMENTS ...``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="cdb-video")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=[*COMMANDS, *OF_COMPONENTS], help="what to do")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="see COMMAND --help")
    words = parser.parse_args(argv)
    prog = f"cdb-video {words.command}"
    if words.command in OF_COMPONENTS:
        command = OF_COMPONENTS[words.command]
        return shown_in_one_line(lambda: command(words.arguments, prog))
    return run(words.command, words.arguments, prog=prog)


def run(command: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs one command with ``--cfg FILE [--opts] KEY VALUE ...`` and writes the report.

    Returns:
        0, or 2 after a mistake of the user's, which is explained in one line on stderr.
    """
    chosen = COMMANDS[command]
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [-h] --cfg FILE [KEY VALUE ...]",
        description=textwrap.fill(chosen.description, 98),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Options, as KEY [allowed values; default]:\n\n{option_help(Config)}",
    )
    parser.add_argument("--cfg", required=True, metavar="FILE", help="YAML file with options")
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="options over those in FILE; --opts before them is allowed",
    )
    given = sys.argv[1:] if argv is None else argv
    words = parser.parse_args([word for word in given if word != "--opts"])

    def work() -> None:
        opts = list(words.opts)
        opts[::2] = [chosen.short.get(key, key) for key in opts[::2]]
        config = options.load(words.cfg, opts)
        chosen.function(config)
        if distributed.is_main():
            Console().print(f"report: {write_report(chosen.folder(config))}", soft_wrap=True)

    return shown_in_one_line(work)


def shown_in_one_line(work: Callable[[], int | None]) -> int:
    """Calls ``work`` and returns its exit code, 0 if it gives none.

    A mistake of the user's becomes one line on stderr and exit code 2.
    """
    try:
        return work() or 0
    except CdbVideoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on after what is finished", file=sys.stderr)
        return 130
