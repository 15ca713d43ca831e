"""CSV files whose rows are NamedTuples; the header has their fields."""

import csv
import re
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar, get_args, get_origin, get_type_hints

from cdb_video.errors import DataError

Row = TypeVar("Row")
MISSING = sys.maxsize
"""The place of a column that is not there."""
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet takes for one; a name of that kind gets one more apostrophe, which it shows as
text."""


def header(kind: Any) -> list[str]:
    """Column names of a NamedTuple. ``class_id`` becomes ``class``, a keyword in Python."""
    return ["class" if name == "class_id" else name for name in kind._fields]


def write_csv(
    path: Path,
    rows: Iterable[Sequence[Any]],
    *,
    append: bool = False,
    for_spreadsheets: bool = True,
) -> None:
    """Writes plain rows, with the header. None is an empty cell.

    Names of files and classes may have any bytes.

    Args:
        for_spreadsheets: let no text be a formula there. Not for lists of clips: their names may
            begin with a minus.
    """
    text = _as_text if for_spreadsheets else (lambda cell: cell)
    how = "a" if append else "w"
    with open(path, how, newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([text(cell) for cell in row] for row in rows)


def _as_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def open_csv(path: Path) -> TextIO:
    """Opens a file of ``write_csv`` for ``csv.reader``."""
    return path.open(newline="", encoding="utf-8", errors="surrogateescape")


def without_apostrophe(cell: str) -> str:
    """The text of a cell of ``write_csv``."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_rows(path: Path, kind: Callable[..., Row], *, skip_damaged: bool = False) -> list[Row]:
    """The rows of a file as NamedTuples ``kind`` of int, float, str, or None for an empty cell.

    Columns that ``kind`` does not have are ignored. A missing file has no rows.

    Args:
        skip_damaged: skip unfinished rows of a killed process.

    Raises:
        DataError: a row lacks a column or has a wrong value.
    """
    if not path.is_file():
        return []
    readers = [_reader(hint) for hint in get_type_hints(kind).values()]
    rows: list[Row] = []
    with open_csv(path) as file:
        lines = csv.reader(line.replace("\0", "") for line in file)
        places = {name: place for place, name in enumerate(next(lines, []))}
        columns = [(places.get(name, MISSING), name) for name in header(kind)]
        wanted = [(read, *column) for read, column in zip(readers, columns, strict=True)]
        for cells in lines:
            if not cells:
                continue
            try:
                rows.append(kind(*[read(cells[place]) for read, place, _ in wanted]))
            except (IndexError, ValueError) as error:
                if skip_damaged:
                    continue
                lacks = [name for _, place, name in wanted if place >= len(cells)]
                reason = f"without {lacks[0]}" if lacks else repr(error)
                raise DataError(f"{path}, line {lines.line_num}: unreadable, {reason}") from None
    return rows


def _reader(hint: Any) -> Callable[[str], Any]:
    """The function that reads a cell."""
    if get_origin(hint) is types.UnionType:
        read = _reader(get_args(hint)[0])
        return lambda text: None if text == "" else read(text)
    return without_apostrophe if hint is str else hint
