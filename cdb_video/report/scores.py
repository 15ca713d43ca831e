"""The scores of a tested run, as tables and pictures of several runs show them."""

from pathlib import Path

from cdb_video.errors import DataError
from cdb_video.output.run_folder import RunFolder

Scores = dict[str, float | None]


def read_scores(folder: Path) -> Scores:
    """Name -> fraction in [0, 1]: top-1, the means over classes, and the recall of each group.

    Raises:
        DataError: the run in ``folder`` has no readable ``test/metrics.json``.
    """
    metrics = RunFolder(folder).metrics()
    if metrics is None:
        raise DataError(f"{folder} has no test/metrics.json: test the run first")
    groups = metrics.get("groups", {})
    return {
        "top-1": metrics.get("top1"),
        "mean class recall": metrics.get("mean_class_recall"),
        "worst class recall": metrics.get("worst_class_recall"),
        "mean class precision": metrics.get("mean_class_precision"),
        "mean class F1": metrics.get("mean_class_f1"),
        **{f"{name} recall": group.get("recall") for name, group in groups.items()},
    }
