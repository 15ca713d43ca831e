"""The command ``list``: every backbone, loss, dataset, sampler and decoder, a line each."""

import argparse
from collections.abc import Sequence

from rich.text import Text

from cdb_video.commands.rows import print_rows
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
    print_rows(
        (
            Text(registry.kind, "dim"),
            Text(name, "cyan"),
            Text(registry.summary(name).replace("``", "")),
        )
        for registry in REGISTRIES
        for name in registry.names()
    )
