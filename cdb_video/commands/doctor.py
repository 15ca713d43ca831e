"""The command ``doctor``."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from cdb_video import options
from cdb_video.commands.with_config import make_parser, parse

DESCRIPTION = (
    "Look over the machine, the lists and every clip before a run: what is missing, damaged, too "
    "short, or in two splits. Prints a table, writes doctor.json, and changes nothing else. The "
    "exit code is 1 where something should be mended first."
)
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Prints the findings; returns 1 where one is an error. Raises ``CdbVideoError``."""
    parser = make_parser(prog, DESCRIPTION, "[--deep] [--workers N] [--json FILE] ")
    parser.add_argument("--deep", action="store_true", help="decode every frame of every clip")
    parser.add_argument("--workers", type=int, help="processes that look at clips (one a core)")
    parser.add_argument("--json", type=Path, default=Path("doctor.json"), help="(doctor.json)")
    words = parse(parser, argv)
    config = options.load(words.cfg, words.opts, trust_imports=words.trust_imports)
    from rich.text import Text

    from cdb_video.commands.rows import print_rows
    from cdb_video.doctor import diagnose
    from cdb_video.engine.record.log import console
    from cdb_video.system.files import write_text

    workers = max(1, words.workers or os.cpu_count() or 1)
    result = diagnose(config, deep=words.deep, workers=workers, screen=console())
    write_text(words.json, json.dumps(result.as_json(), indent=2) + "\n")
    print_rows(
        (Text(one.level, STYLES[one.level]), Text(one.topic), Text(one.text))
        for one in result.findings
    )
    return 1 if result.has_errors else 0
