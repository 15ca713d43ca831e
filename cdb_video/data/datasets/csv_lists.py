"""Rows of CSV lists that have a header, by the names of their columns."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from cdb_video.data.lists.lines import Line
from cdb_video.errors import DataError


def csv_rows(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[tuple[Line, list[str]]]:
    """The cells of ``columns`` in each row that is not blank, stripped, and where it stands.

    Raises:
        DataError: there is no such column, a row is short, or it is no CSV.
    """
    reader = csv.reader(file)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"{path} must have the columns {', '.join(columns)}, got {', '.join(header)[:200]}"
            )
        places = [header.index(name) for name in columns]
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            line = Line(path, reader.line_num, ",".join(cells))
            if len(cells) <= max(places):
                raise line.error(f"the row needs the columns {', '.join(columns)}")
            yield line, [cells[place].strip() for place in places]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: no CSV: {error}") from None
