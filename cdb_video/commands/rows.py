"""Prints rows: a table on a terminal, otherwise lines with tabs for grep and cut."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_rows(rows: Iterable[Sequence[Text]]) -> None:
    """Prints ``rows``. Only the last cell of a row may be broken into several lines.

    Cells are Text, not str: rich reads the square brackets of an interval as markup.
    """
    screen = Console()
    if not screen.is_terminal:
        # Flushed at once: a reader such as head closes the pipe after a few lines.
        print("\n".join("\t".join(word.plain for word in row) for row in rows))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        for word in row[:-1]:
            word.no_wrap = True
        table.add_row(*row)
    screen.print(table)
