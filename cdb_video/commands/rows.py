"""Rows of words: a table on a terminal, else lines with tabs, for grep and cut."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_rows(rows: Iterable[Sequence[Text]]) -> None:
    """Prints ``rows``; only the last word of each may be broken into several lines.

    They are Text, not str, as the square brackets of an interval would be markup to rich.
    """
    screen = Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        if not screen.is_terminal:
            print("\t".join(word.plain for word in row))
        for word in row[:-1]:
            word.no_wrap = True
        table.add_row(*row)
    if screen.is_terminal:
        screen.print(table)
