"""Validates a run, and hands the recall of each class to who learns from it."""

from functools import partial

import numpy as np
import torch

from cdb_video import distributed
from cdb_video.difficulty import ClassState, Feedback
from cdb_video.engine.evaluate.evaluation import evaluate
from cdb_video.engine.record import pictures
from cdb_video.engine.train.run import Run
from cdb_video.engine.train.statistics import precise_statistics
from cdb_video.losses.by_part import PartLosses
from cdb_video.parts import output_names


def tell(run: Run, split: str, recall: torch.Tensor, counts: torch.Tensor) -> None:
    """Hands the recall (K,) on ``split``, and its clips (K,), to who learns from it.

    Where classes have parts, these follow behind, and are for the loss.
    """
    num_classes, loss = len(run.splits.class_names), run.state.loss
    learners: tuple[Feedback | PartLosses, ...] = (loss, run.state.sampler, run.state.mixer)
    for one in learners:
        if one.source == split:
            own = slice(num_classes, None) if isinstance(one, PartLosses) else slice(num_classes)
            one.observe(recall[own], counts[own])


def validate(run: Run, epoch: int) -> float:
    """Evaluates the validation split and hands its recall to loss and sampler.

    Returns:
        TRAIN.BEST_METRIC; without validation the epoch, so that the newest is the best.
    """
    state, names = run.state, run.splits.class_names
    if run.val_loader is None:
        write_difficulty(run, epoch, *torch.zeros(2, len(names) + len(output_names(run.parts))))
        return float(epoch)
    model = state.average.model
    if run.bn.use_precise_stats:
        precise_statistics(model, run.train_loader, epoch, run.bn.num_batches_precise)
    with distributed.whole(model):
        result = evaluate(
            model,
            run.val_loader,
            run.splits.labels("val"),
            len(names),
            leave_out=run.leave_out,
            parts=run.parts,
            on_batch=partial(run.quarantine.see, "val"),
            stop=run.stop,
        )
    run.quarantine.tell("val", epoch)
    metrics = result.metrics(names, run.grouping, average_precision=False)
    recall, counts = result.recall()
    tell(run, "val", recall, counts)
    for part, own in zip(run.parts, result.parts, strict=True):
        of_part, clips = own.recall()
        metrics[f"mean_class_recall_{part.name}"] = float(of_part[clips > 0].mean())
    step = epoch * run.steps_per_epoch
    run.log.write("val", epoch, step, loss=result.loss, **metrics)
    run.log.picture("confusion", step, partial(pictures.confusion, *result.counted, len(names)))
    write_difficulty(run, epoch, recall, counts)
    run.screen.print(
        f"epoch {epoch}: validation loss {result.loss:.3f}, top-1 {100 * metrics['top1']:.1f} %, "
        f"mean class recall {100 * metrics['mean_class_recall']:.1f} %"
    )
    return float(metrics[run.train.best_metric])


def write_difficulty(run: Run, epoch: int, recall: torch.Tensor, counts: torch.Tensor) -> None:
    """What loss or sampler make of the results of ``epoch``; 1 - recall where neither goes by it.

    ``recall`` (K,) of the validation and ``counts`` (K,), its clips; all 0 without validation.
    Where classes have parts, these follow behind, and have rows in the place of the classes.
    """
    loss, sampler, splits = run.state.loss, run.state.sampler, run.splits
    names, sizes, step = splits.class_names, splits.counts("train"), epoch * run.steps_per_epoch
    state = loss.class_state(epoch + 1)
    if state is not None and isinstance(loss, PartLosses):
        own = slice(len(names), None)
        numbers = (recall[own], counts[own], np.concatenate(splits.part_counts("train")))
        run.log.write_difficulty(epoch, step, output_names(run.parts), state, *numbers, len(names))
        return
    recall, counts = recall[: len(names)], counts[: len(names)]
    state = state or sampler.class_state(epoch + 1)
    if state is None and counts.any():
        state = ClassState(1 - recall, loss.weights_in(epoch + 1), 0.0)
    if state is not None:
        run.log.write_difficulty(epoch, step, names, state, recall, counts, sizes)
