"""Text files of lists: their lines, and the names of classes in them."""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cdb_video.errors import DataError


@dataclass(frozen=True)
class Line:
    """One line of an annotation file, with its line number."""

    path: Path
    number: int
    text: str

    def error(self, what: str) -> DataError:
        """``file:line: what, text``."""
        return DataError(f"{self.path}:{self.number}: {what[:600]}, in the line {self.text!r:.200}")


def composed(name: str) -> str:
    """The name of a class in one form of Unicode (NFC), so that equal texts are equal.

    Raises:
        ValueError: it is not text.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of a class must be UTF-8 text, got {name!r:.200}") from None
    return unicodedata.normalize("NFC", name)


@contextmanager
def opened(path: Path, errors: str = "strict") -> Iterator[TextIO]:
    """The text of a UTF-8 file without its byte order mark. Line ends are kept.

    Args:
        errors: as in ``open``: what happens to other bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="", errors=errors) as file:
            yield file
    except UnicodeDecodeError:
        raise DataError(
            f"{path} must be UTF-8 text, got byte {_first_wrong(path)} that is not"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _first_wrong(path: Path) -> int:
    try:
        return len(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return error.start


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a text file that are not blank, without white space around them."""
    with opened(path) as file:
        for number, text in enumerate(file, start=1):
            if text.strip():
                yield Line(path, number, text.strip())


def as_here(folder: str | os.PathLike[str], name: str) -> str:
    """``name`` in ``folder``; backslashes of a list made on Windows become this system's signs.

    A file that has a backslash in its name is found, too.
    """
    path = os.path.join(folder, name)
    if "\\" in name and os.sep == "/" and not os.path.lexists(path):
        return os.path.join(folder, name.replace("\\", "/"))
    return path
