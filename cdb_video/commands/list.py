"""The command ``list``: every backbone, loss, dataset, sampler and decoder, a line each."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdb_video.registry import REGISTRIES, import_modules


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Prints the components: a table on a terminal, else ``kind<TAB>name<TAB>sentence`` lines.

    Raises:
        ConfigError: a module cannot be imported.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description="List every backbone, loss, dataset, sampler and decoder."
    )
    parser.add_argument(
        "imports", nargs="*", metavar="MODULE", help="modules to import first, as in IMPORTS"
    )
    import_modules(parser.parse_args(argv).imports)
    rows = [
        (registry.kind, name, registry.summary(name).replace("``", ""))
        for registry in REGISTRIES
        for name in registry.names()
    ]
    screen = Console()
    if not screen.is_terminal:
        print("\n".join("\t".join(row) for row in rows))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for kind, name, sentence in rows:
        # Text, as the square brackets of an interval would be markup to rich.
        table.add_row(Text(kind, "dim"), Text(name, "cyan", no_wrap=True), Text(sentence))
    screen.print(table)
