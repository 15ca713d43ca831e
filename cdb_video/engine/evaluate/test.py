"""Tests a checkpoint on the test split and writes OUTPUT_DIR/test."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.data.lists.splits import Splits
from cdb_video.engine.evaluate.evaluation import Evaluation
from cdb_video.engine.evaluate.quarantine import Quarantine
from cdb_video.engine.evaluate.scores import Evaluating, evaluate
from cdb_video.engine.prepare.data import check_output_dir, make_eval_loader
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.prepare.model import open_model
from cdb_video.engine.prepare.task import Task, grouping_of, read_test_task
from cdb_video.engine.record.log import console, progress_bar
from cdb_video.errors import CheckpointError
from cdb_video.metrics.pairs import pair_metrics
from cdb_video.metrics.tables import confusion_rows, per_class_table
from cdb_video.models import Checkpoint
from cdb_video.options import Config
from cdb_video.output.list_facts import write_list_facts
from cdb_video.output.rows import ClassRow, TestRow
from cdb_video.output.run_folder import RunFolder
from cdb_video.sections import Test


def test(config: Config) -> dict[str, Any]:
    """Tests TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best, and returns ``metrics.json``.

    Raises:
        CdbVideoError: there is no checkpoint, it does not fit, or options or data are wrong.
    """
    device, folder = choose_device(config), RunFolder(config.output_dir)
    with distributed.process_group(device), folder.locked("test"):
        check_output_dir(config)
        folder.check_test_folder()
        checkpoint = tested_checkpoint(config)
        task = read_test_task(config, checkpoint)
        checkpoint.check_classes(task.outputs.class_names)
        model = open_model(config, checkpoint, task.outputs, device, console())
        views = (config.test.num_ensemble_views, config.test.num_spatial_crops)
        loader = make_eval_loader(config, task.splits, "test", device, views)
        quarantine = Quarantine(
            folder, task.splits, config.data.decoder, config.data.max_bad_fraction, console()
        )
        with progress_bar(console()) as bar:
            shown = bar.add_task("testing", total=len(loader))

            def on_batch(batch: Batch) -> None:
                quarantine.see("test", batch)
                bar.advance(shown)

            how = Evaluating(
                config.test.on_bad_clip == "leave_out",
                config.test.ensemble_method,
                config.test.top_k,
                views[0] * views[1],
            )
            labels = task.splits.labels("test")
            result = evaluate(model, loader, labels, how, on_batch=on_batch)
        quarantine.tell("test", checkpoint.epoch)
        metrics = write_test(folder, config.test, task, result, checkpoint.path, checkpoint.epoch)
        distributed.barrier()
    return metrics


def write_test(
    folder: RunFolder,
    options: Test,
    task: Task,
    result: Evaluation,
    checkpoint: Path,
    epoch: int,
) -> dict[str, Any]:
    """Writes the folder ``test`` and a line of ``log.jsonl``; returns ``metrics.json``.

    Args:
        options: of the test.
        checkpoint: the tested one; ``epoch``: its number of epochs.
    """
    names, grouping = task.outputs.class_names, task.grouping
    metrics = {
        "split": "test",
        **result.metrics(names, grouping),
        "group_rule": grouping.rule,
        **_heads(task, result),
        "views": {
            "temporal": options.num_ensemble_views,
            "spatial": options.num_spatial_crops,
            "average": options.ensemble_method,
        },
        "checkpoint": str(checkpoint),
    }
    if distributed.is_main():
        arguments = (*result.counted, len(names))
        sizes = task.splits.counts("train").tolist() if "train" in task.splits else None
        per_class = per_class_table(
            *arguments, class_names=names, train_counts=sizes, groups=grouping.groups
        )
        folder.write_test(
            metrics,
            [ClassRow(class_id=row.pop("class"), **row) for row in per_class],
            confusion_rows(*arguments, class_names=names),
            score_names(result),
            _predictions(task.splits, result),
        )
        write_list_facts(folder.lists, task.splits.facts("test"))
        folder.append_record("test", epoch, 0, loss=result.loss, **metrics)
    return metrics


def _heads(task: Task, result: Evaluation) -> dict[str, Any]:
    """The metrics of each of several outputs, and of two outputs those of their pairs."""
    if not result.several:
        return {}
    splits, outputs = task.splits, task.outputs
    found, sizes = {}, splits.output_counts(task.groups.counts, outputs)
    for output, own, size in zip(outputs, result.several, sizes, strict=True):
        grouping = grouping_of(task.groups, size, output.class_names)
        found[output.name] = own.metrics(output.class_names, grouping, average_precision=False)
    if len(found) != 2:
        return {"heads": found}
    valid = result.counts.numpy()
    unseen = splits.unseen("test")
    pairs = pair_metrics(
        [own.scores.numpy()[valid] for own in result.several],
        [own.target.numpy()[valid] for own in result.several],
        splits.output_counts("train", outputs),
        None if unseen is None else unseen[valid],
    )
    return {"heads": found, "pairs": pairs}


def tested_checkpoint(config: Config) -> Checkpoint:
    """TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    if config.test.checkpoint_file_path:
        return Checkpoint.read(Path(config.test.checkpoint_file_path))
    path = RunFolder(config.output_dir).best
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint {path}: train first, or set TEST.CHECKPOINT_FILE_PATH"
        )
    return Checkpoint.read(path)


def score_names(result: Evaluation) -> list[str]:
    """The columns that ``predictions.csv`` has after those of ``TestRow``."""
    count = result.scores.shape[1]
    if result.classes is None:
        return [f"score_{c}" for c in range(count)]
    return [f"{name}_{place}" for place in range(1, count + 1) for name in ("class", "score")]


def _predictions(splits: Splits, result: Evaluation) -> Iterator[tuple[TestRow, Sequence[float]]]:
    predictions = result.prediction.tolist()
    for index, record in enumerate(splits["test"].records):
        scores = [round(score, 6) for score in result.scores[index].tolist()]
        predicted = predictions[index]
        span = (record.path, record.start, record.end)
        if result.classes is not None:
            classes = result.classes[index].tolist()
            best, score = list(zip(classes, scores, strict=True)), scores[0]
            scores = [value for pair in best for value in pair]
        else:
            score = scores[predicted] if predicted >= 0 else 0.0
        row = TestRow(index, *span, record.label, predicted, score)
        yield row, scores
