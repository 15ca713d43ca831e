"""CSV files whose lines are NamedTuples, with the fields as header."""

import csv
import re
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar, get_args, get_origin, get_type_hints

from cdb_video.errors import DataError

Row = TypeVar("Row")
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet takes for one; a name of that kind gets one more apostrophe, which it shows as
text."""


def header(kind: Any) -> list[str]:
    """Names of the columns of a NamedTuple; ``class_id`` is ``class`` there, a word of Python's."""
    return ["class" if name == "class_id" else name for name in kind._fields]


def write_csv(path: Path, rows: Iterable[Sequence[Any]], *, append: bool = False) -> None:
    """Writes plain lines, the header among them; None is an empty cell.

    Texts are names of files and classes: they may be of any bytes, and are never formulas.
    """
    how = "a" if append else "w"
    with open(path, how, newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([_as_text(cell) for cell in row] for row in rows)


def _as_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def open_csv(path: Path) -> TextIO:
    """Opens what ``write_csv`` wrote, for ``csv.reader``."""
    return path.open(newline="", encoding="utf-8", errors="surrogateescape")


def plain(cell: str) -> str:
    """The text of a cell that ``write_csv`` wrote."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_rows(path: Path, kind: Callable[..., Row], *, skip_damaged: bool = False) -> list[Row]:
    """The lines of a file as NamedTuples ``kind``, of int, float or str, or None where empty.

    Columns that ``kind`` does not have are passed over; a missing file has no lines.

    Args:
        skip_damaged: pass over lines that a killed process left unfinished.

    Raises:
        DataError: a line lacks a column or holds something else.
    """
    if not path.is_file():
        return []
    hints: dict[str, Any] = get_type_hints(kind)
    columns = dict(zip(header(kind), hints, strict=True))
    rows: list[Row] = []
    with open_csv(path) as file:
        reader = csv.DictReader(line.replace("\0", "") for line in file)
        for raw in reader:
            try:
                values = {
                    field: _value(raw[column], hints[field]) for column, field in columns.items()
                }
            except (KeyError, TypeError, ValueError) as error:
                if skip_damaged:
                    continue
                raise DataError(f"{path}, line {reader.line_num}: unreadable, {error!r}") from None
            rows.append(kind(**values))
    return rows


def _value(text: str, hint: Any) -> Any:
    optional = get_origin(hint) is types.UnionType
    if optional and text == "":
        return None
    if text is None:
        raise ValueError("the line is cut short")
    return (get_args(hint)[0] if optional else hint)(plain(text))
