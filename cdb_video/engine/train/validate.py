"""Validates a run, and passes the recall of each class to the parts that learn from it."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from cdb_video import distributed
from cdb_video.difficulty import ClassRecall, ClassState, Recalls
from cdb_video.engine.evaluate.scores import Evaluating, evaluate
from cdb_video.engine.record import pictures
from cdb_video.engine.train.run import Run
from cdb_video.engine.train.statistics import precise_statistics


def validate(run: Run, epoch: int) -> float:
    """Evaluates the validation split and passes its recall to losses and sampler.

    Returns:
        TRAIN.BEST_METRIC; without validation the epoch, so that the newest is the best.
    """
    learner, recorder, plan = run.learner, run.recorder, run.plan
    splits, outputs = plan.task.splits, plan.task.outputs
    if plan.val_loader is None:
        write_difficulty(run, epoch, nothing_seen(run))
        return float(epoch)
    model = learner.average.model
    if plan.precise_batches:
        precise_statistics(model, plan.train_loader, epoch, plan.precise_batches)
    with distributed.whole(model):
        result = evaluate(
            model,
            plan.val_loader,
            splits.labels("val"),
            Evaluating(plan.leave_out),
            on_batch=partial(recorder.quarantine.see, "val"),
            stop=plan.stop,
        )
    recorder.quarantine.tell("val", epoch)
    metrics = result.metrics(splits.class_names, plan.task.grouping, average_precision=False)
    recalls = result.recalls
    learner.observe("val", recalls)
    for output, (recall, counts) in zip(outputs.several, recalls.outputs, strict=False):
        metrics[f"mean_class_recall_{output.name}"] = float(recall[counts > 0].mean())
    step = epoch * plan.steps_per_epoch
    recorder.log.write("val", epoch, step, loss=result.loss, **metrics)
    confusion = partial(pictures.confusion, *result.counted, len(splits.class_names))
    recorder.log.picture("confusion", step, confusion)
    write_difficulty(run, epoch, recalls)
    recorder.screen.print(
        f"epoch {epoch}: validation loss {result.loss:.3f}, top-1 {100 * metrics['top1']:.1f} %, "
        f"mean class recall {100 * metrics['mean_class_recall']:.1f} %"
    )
    return float(metrics[plan.best_metric])


def nothing_seen(run: Run) -> Recalls:
    """The results without validation."""
    outputs = run.plan.task.outputs
    sizes = (len(outputs.class_names), *outputs.sizes)
    classes, *each = [ClassRecall(*torch.zeros(2, size)) for size in sizes]
    return Recalls(classes, each)


def write_difficulty(run: Run, epoch: int, recalls: Recalls) -> None:
    """Difficulties from losses or sampler after ``epoch``; 1 - recall if neither has any.

    Losses by difficulty have rows for the classes of each output, others for the classes.
    """
    learner, splits, outputs = run.learner, run.plan.task.splits, run.plan.task.outputs
    following, step = epoch + 1, epoch * run.plan.steps_per_epoch
    states = learner.losses.class_states(following)
    if states:
        rows, sizes = outputs.rows, np.concatenate(splits.output_counts("train", outputs))
        seen = ClassRecall(*map(torch.cat, zip(*recalls.outputs, strict=True)))
        state = joined_states(states)
    else:
        rows, sizes = [*enumerate(splits.class_names)], splits.counts("train")
        seen = recalls.classes
        own = learner.sampler.class_state(following)
        if own is None and not seen.counts.any():
            return
        state = own or ClassState(1 - seen.recall, learner.losses.weights_in(following), 0.0)
    run.recorder.log.write_difficulty(epoch, step, rows, state, seen, sizes)


def joined_states(states: Sequence[ClassState]) -> ClassState:
    """The difficulties of all outputs, joined, with the tau of the first."""
    difficulty = torch.cat([state.difficulty for state in states])
    return ClassState(difficulty, torch.cat([state.weight for state in states]), states[0].tau)
