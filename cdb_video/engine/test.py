"""Tests a checkpoint on the test split and writes OUTPUT_DIR/test."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from cdb_video import distributed
from cdb_video.engine import parts
from cdb_video.engine.checkpoint import checkpoint_folder
from cdb_video.engine.evaluate import Evaluation, evaluate
from cdb_video.engine.log import append_record, console, progress_bar
from cdb_video.engine.normalisation import with_normalisation
from cdb_video.errors import CheckpointError
from cdb_video.metrics import confusion_rows, per_class_table
from cdb_video.models import load_weights, read_checkpoint
from cdb_video.options import Config


def test(config: Config) -> dict[str, Any]:
    """Tests TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best, and returns ``metrics.json``.

    Raises:
        CdbVideoError: there is no checkpoint, it does not fit, or options or data are wrong.
    """
    device = parts.choose_device(config)
    with distributed.process_group(device):
        path = checkpoint_path(config)
        clips = parts.read_clips(config, ("test",))
        groups = parts.class_groups(config, clips)
        model = parts.make_model(config, len(clips.class_names), device)
        epoch = load_whole(model, path, clips.class_names)
        config = with_normalisation(config, model, path, console(), strict=True)
        views = (config.test.num_ensemble_views, config.test.num_spatial_crops)
        loader = parts.make_eval_loader(config, clips, "test", device, *views)
        labels = [record.label for record in clips.records["test"]]
        with progress_bar(console()) as bar:
            task = bar.add_task("testing", total=len(loader))
            result = evaluate(
                model, loader, labels, len(clips.class_names), config, lambda: bar.advance(task)
            )
        metrics = write_test(config, clips, groups, result, path, epoch)
        distributed.barrier()
    return metrics


def write_test(
    config: Config,
    clips: parts.Clips,
    groups: list[str],
    result: Evaluation,
    checkpoint: Path,
    epoch: int,
) -> dict[str, Any]:
    """Writes OUTPUT_DIR/test and the ``test`` line of ``log.jsonl``; returns ``metrics.json``."""
    test_options = config.test
    metrics = {
        "split": "test",
        **result.metrics(clips.class_names, groups, test_options.group_names),
        "views": {
            "temporal": test_options.num_ensemble_views,
            "spatial": test_options.num_spatial_crops,
        },
        "checkpoint": str(checkpoint),
    }
    if distributed.is_main():
        _write(Path(config.output_dir), clips, groups, result, metrics)
        log = Path(config.output_dir) / "log.jsonl"
        append_record(log, "test", epoch, 0, loss=result.loss, **metrics)
    return metrics


def checkpoint_path(config: Config) -> Path:
    """TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best."""
    if config.test.checkpoint_file_path:
        return Path(config.test.checkpoint_file_path)
    path = checkpoint_folder(config) / "best.pt"
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint {path}: train first, or set TEST.CHECKPOINT_FILE_PATH"
        )
    return path


def load_whole(model: nn.Module, path: Path, class_names: list[str]) -> int:
    """Fills the whole model, or refuses; returns the epoch of the checkpoint, 0 if it has none."""
    content = read_checkpoint(path)
    trained = content.get("class_names", class_names)
    if trained != class_names:
        raise CheckpointError(f"{path} must be trained on the classes {class_names}, got {trained}")
    report = load_weights(model, path, min_fraction=0)
    if report.missing or report.mismatched:
        raise CheckpointError(f"{path} must hold the whole model. {report}")
    epoch = content.get("epoch", 0)
    return epoch if isinstance(epoch, int) else 0


def _write(
    output_dir: Path,
    clips: parts.Clips,
    groups: list[str],
    result: Evaluation,
    metrics: dict[str, Any],
) -> None:
    """Writes all files aside and then puts them in the place of an earlier test's."""
    folder = output_dir / "test"
    partial = output_dir / "test.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    names = clips.class_names
    arguments = (result.target, result.prediction, len(names))
    per_class = per_class_table(
        *arguments, class_names=names, train_counts=clips.counts("train").tolist(), groups=groups
    )
    header = list(per_class[0])
    _write_csv(partial / "per_class.csv", [header, *(list(row.values()) for row in per_class)])
    _write_csv(partial / "confusion.csv", confusion_rows(*arguments, class_names=names))
    _write_csv(partial / "predictions.csv", _prediction_rows(clips, result))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _prediction_rows(clips: parts.Clips, result: Evaluation) -> list[list[Any]]:
    columns = ["index", "path", "start", "end", "label", "predicted", "score"]
    rows: list[list[Any]] = [columns + [f"score_{c}" for c in range(result.scores.shape[1])]]
    for index, record in enumerate(clips.records["test"]):
        scores = [round(score, 6) for score in result.scores[index].tolist()]
        predicted = int(result.prediction[index])
        rows.append(
            [
                index,
                record.path,
                record.start,
                record.end,
                record.label,
                predicted,
                scores[predicted],
                *scores,
            ]
        )
    return rows


def _write_csv(path: Path, rows: list[list[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
