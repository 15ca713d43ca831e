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
    if not screen.is_terminal:
        # At once: who reads the first lines alone, as head does, closes the pipe.
        print("\n".join("\t".join(word.plain for word in row) for row in rows))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        for word in row[:-1]:
            word.no_wrap = True
        table.add_row(*row)
    screen.print(table)
