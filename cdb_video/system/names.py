"""Names of files that are made of other files: short, told apart, and never those of an input."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from cdb_video.errors import ConfigError

MAX_STEM = 100
"""Bytes of a name that are kept: file systems take 255, and endings come behind it."""


def name_for(path: str | os.PathLike[str], *part: float | None) -> str:
    """A name for what is made of a file, such as ``1a2b3c4d_film`` for ``folder/film.mp4``.

    It is the same for the same file and part of it, whatever else there is, and another for every
    other one.
    """
    key = os.fsencode(os.path.abspath(path))
    if part != (None,) * len(part):
        key += repr(part).encode()
    stem = os.fsdecode(os.fsencode(Path(path).stem)[:MAX_STEM])
    return f"{hashlib.sha256(key).hexdigest()[:8]}_{stem}"


def check_outputs(outputs: Iterable[Path], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raises ``ConfigError`` where a file that will be written is an input."""
    known = {os.path.realpath(path) for path in inputs}
    for path in outputs:
        if os.path.realpath(path) in known:
            raise ConfigError(f"{path} would be overwritten, and is an input: choose another name")


def check_new(*outputs: Path) -> None:
    """Raises ``ConfigError`` where a file is there already."""
    for path in outputs:
        if path.exists():
            raise ConfigError(f"{path} is there already: delete it, or choose another name")
