"""The command ``test``."""

from collections.abc import Sequence
from pathlib import Path

from cdb_video.commands.with_config import read_config, report

DESCRIPTION = "Test a checkpoint, OUTPUT_DIR's best.pt unless TEST.CHECKPOINT_FILE_PATH."


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Tests, and writes the report. Raises ``CdbVideoError``."""
    config = read_config(argv, prog, DESCRIPTION)
    from cdb_video.engine.evaluate.test import test

    test(config)
    report(Path(config.output_dir))
