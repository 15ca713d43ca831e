"""The command line: ``cdb-video train``, ``test`` and so on.

Each command is one module, which is imported when its word is typed. So the imports of one command
cost the others nothing.
"""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from cdb_video.errors import CdbVideoError, Stopped
from cdb_video.version import __version__

WORDS = {
    "train": "train a model, or resume a run that was stopped",
    "test": "test a checkpoint",
    "predict": "name the classes of videos, or of each moment of long ones",
    "explain": "show where a network looked, in space and time",
    "extract-features": "write the features of clips, as a file and as a map",
    "export": "write a model for programs without this package",
    "retrain": "make another classifier on the frozen backbone of a checkpoint",
    "compare": "train and test several losses with several seeds",
    "compare-runs": "set tested runs side by side, clip by clip",
    "recommend": "say which losses to try first on a data set, and why",
    "describe-data": "say how long the tail of a data set is",
    "make-long-tail": "draw a long-tailed subset of a data set",
    "doctor": "check the machine and the data before a run",
    "profile-run": "say where the time of training goes, and what to try",
    "replay-batch": "run a step again whose loss was not finite",
    "list": "list every backbone, loss, dataset, sampler and decoder",
    "check-backbone": "check a backbone against its contract, and measure what it costs",
    "pack-data": "write all clips again, smaller and quicker to decode",
    "get-data": "download a public data set, or convert what you have",
    "demo": "train and test cross entropy and CDB on made videos",
    "demo-data": "make the videos of the demo",
}
"""Word -> what it does. Its module has ``main(arguments, name of the program)``."""
SPINS = "3000"
"""Turns that a thread of torch waits busily for the next piece of work before it sleeps."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``cdb-video WORD ARGUMENTS ...``; returns the exit code."""
    width = max(map(len, WORDS)) + 2
    listed = "\n".join(f"  {word:<{width}}{what}" for word, what in WORDS.items())
    parser = argparse.ArgumentParser(
        prog="cdb-video",
        usage="%(prog)s [-h] [--version] WORD ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"words:\n{listed}\n\ncdb-video WORD --help says more.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("word", choices=WORDS, metavar="WORD", help="what to do")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    words = parser.parse_args(argv)
    return run(words.word, words.arguments, f"cdb-video {words.word}")


def run(word: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs one command with its arguments, those of the program by default."""

    def work() -> int | None:
        # By default, idle threads of torch spin for a long time, and other processes on the same
        # cores wait for them. The OpenMP runtime reads this once, as torch is imported.
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        # fvcore compiles a loss at import, and torch 2.14 warns of it. The user can do nothing.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        module = importlib.import_module(f"cdb_video.commands.{word.replace('-', '_')}")
        code: int | None = module.main(argv, prog)
        return code

    return in_one_line(work)


def in_one_line(work: Callable[[], int | None]) -> int:
    """Calls ``work`` and returns its exit code, 0 if it gives none.

    A mistake of the user becomes one line on stderr and exit code 2. So does an error of the
    system, such as a full disk. A run that a signal stopped gives 128 plus the signal's number.
    """
    try:
        return work() or 0
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except CdbVideoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        print(f"error: {name}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped. Run the same command again to resume.", file=sys.stderr)
        return 130
