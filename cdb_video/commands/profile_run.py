"""The command ``profile-run``."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cdb_video import options
from cdb_video.commands.arguments import positive
from cdb_video.commands.with_config import make_parser, parse

DESCRIPTION = (
    "Train some steps as the config says, in a folder that is then thrown away, and tell where the "
    "time went: waiting for data, forward, backward, optimiser; what a clip costs to decode and to "
    "transform; and in one line what to try."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Prints a table and a verdict. Raises ``CdbVideoError``."""
    parser = make_parser(prog, DESCRIPTION, "[--steps N] [--trace FILE] [--json FILE] ")
    parser.add_argument("--steps", type=positive, default=20, metavar="N", help="to time (20)")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="write a trace for chrome://tracing or Perfetto"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    words = parse(parser, argv)
    config = options.load(words.cfg, words.opts, trust_imports=words.trust_imports)
    from rich.console import Console
    from rich.table import Table

    from cdb_video.doctor.profile import profile_run
    from cdb_video.system.files import write_text

    found = profile_run(config, words.steps, words.trace)
    table = Table("part of a step", "ms", "share", box=None, pad_edge=False)
    for part, seconds in found.seconds.items():
        table.add_row(part, f"{1000 * seconds:,.2f}", f"{100 * seconds / found.step:.1f} %")
    table.add_row("all", f"{1000 * found.step:,.2f}", "")
    screen = Console(highlight=False)
    screen.print(table)
    screen.print(
        f"{found.steps} steps of {found.clips_a_step} clips, "
        f"{found.clips_a_step / found.step:.1f} clips/s; network {found.teraflops:.3f} TFLOP/s of "
        f"{found.peak_teraflops:.3f} in a matrix product: MFU {100 * found.utilisation:.0f} %",
        soft_wrap=True,
    )
    if found.decode:
        screen.print(
            f"a clip in one process: decode {1000 * found.decode:.1f} ms, transform "
            f"{1000 * found.transform:.1f} ms; of {found.workers} workers {found.workers_needed} "
            f"would keep up, on {found.cores} cores",
            soft_wrap=True,
        )
    screen.print(found.verdict(), soft_wrap=True)
    if words.json:
        numbers = {**asdict(found), "verdict": found.verdict(), "mfu": found.utilisation}
        write_text(words.json, json.dumps(numbers, indent=2) + "\n")
    return 0
