"""CSV files whose lines are NamedTuples, with the fields as header."""

import csv
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cdb_video.errors import DataError

Row = TypeVar("Row")


def header(kind: Any) -> list[str]:
    """Names of the columns of a NamedTuple; ``class_id`` is ``class`` there, a word of Python's."""
    return ["class" if name == "class_id" else name for name in kind._fields]


def write_csv(path: Path, rows: Iterable[Sequence[Any]], *, append: bool = False) -> None:
    """Writes plain lines, the header among them; None is an empty cell."""
    with open(path, "a" if append else "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


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
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
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
    return (get_args(hint)[0] if optional else hint)(text)
