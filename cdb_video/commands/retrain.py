"""The command ``retrain``."""

from collections.abc import Sequence

from cdb_video.commands.with_config import read_config, report
from cdb_video.output.run_folder import RunFolder

DESCRIPTION = (
    "Make and test another classifier on the frozen backbone of a checkpoint, OUTPUT_DIR's best.pt "
    "unless TEST.CHECKPOINT_FILE_PATH. METHOD NAME (short for RETRAIN.METHOD) says how; the result "
    "goes to OUTPUT_DIR/<method>. 'cdb-video list' names the methods."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Retrains, tests, and writes the report. Raises ``CdbVideoError``."""
    config = read_config(argv, prog, DESCRIPTION, short={"METHOD": "RETRAIN.METHOD"})
    from cdb_video.engine.retrain.retrain import retrain

    retrain(config)
    report(RunFolder(config.output_dir).retrained(config.retrain.method).path)
