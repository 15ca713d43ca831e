"""The command ``train``."""

from collections.abc import Sequence
from pathlib import Path

from cdb_video.commands.with_config import LiveReport, read_config, report

DESCRIPTION = "Train a model; go on where an earlier run in OUTPUT_DIR stopped."


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Trains, and writes the report. Raises ``CdbVideoError``."""
    config = read_config(argv, prog, DESCRIPTION)
    from cdb_video.engine.train.loop import train

    folder = Path(config.output_dir)
    train(config, after_epoch=LiveReport(folder).update)
    report(folder)
