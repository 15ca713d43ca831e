"""The command ``list``: every backbone, loss, dataset and sampler, with one line each."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdb_video.registry import BACKBONES, DATASETS, LOSSES, SAMPLERS, import_modules


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Prints the components: tables on a terminal, else ``kind<TAB>name<TAB>sentence`` lines.

    Raises:
        ConfigError: a module cannot be imported.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description="List every backbone, loss, dataset and sampler."
    )
    parser.add_argument(
        "imports", nargs="*", metavar="MODULE", help="modules to import first, as in IMPORTS"
    )
    import_modules(parser.parse_args(argv).imports)
    screen = Console()
    for registry in (BACKBONES, LOSSES, DATASETS, SAMPLERS):
        lines = [(name, registry.summary(name)) for name in registry.names()]
        if screen.is_terminal:
            table = Table(box=None, title_justify="left", show_header=False, pad_edge=False)
            table.title = Text(f"{registry.kind} ({len(lines)})", style="bold")
            for name, sentence in lines:
                table.add_row(Text(name, style="cyan", no_wrap=True), Text(sentence))
            screen.print(table, "")
        else:
            for name, sentence in lines:
                print(registry.kind, name, sentence, sep="\t")
