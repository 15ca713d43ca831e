"""Trains a model: the whole loop, in reading order."""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from rich.progress import Progress as Bar
from torch import nn

from cdb_video import distributed
from cdb_video.data.batch import Batch
from cdb_video.difficulty import ClassState, Feedback
from cdb_video.engine import build
from cdb_video.engine.checkpoint import Progress
from cdb_video.engine.evaluate import evaluate
from cdb_video.engine.log import progress_bar
from cdb_video.engine.run import Run, prepare
from cdb_video.engine.statistics import merge_statistics, precise_statistics
from cdb_video.options import Config
from cdb_video.run_folder import RunFolder


def train(config: Config) -> None:
    """Trains as ``config`` says and leaves the run in OUTPUT_DIR.

    Goes on where an earlier call stopped (TRAIN.AUTO_RESUME). Under torchrun every process calls
    this.

    Raises:
        CdbVideoError: options, data or a checkpoint are wrong, another process trains in
            OUTPUT_DIR, or the loss is not finite.
    """
    device = build.choose_device(config)
    with distributed.process_group(device), RunFolder(config.output_dir).locked("train"):
        fit(prepare(config, device))


def fit(run: Run) -> None:
    """The epochs: train, validate, let loss and sampler observe, save."""
    progress, last = run.progress, run.solver.max_epoch
    with progress_bar(run.screen) as bar:
        bar.add_task("training", total=run.learning_rate.num_steps)
        for epoch in range(progress.epoch + 1, last + 1):
            train_one_epoch(run, progress, bar)
            score = None
            if epoch == last or epoch % (run.train.eval_period or 1) == 0:
                score = validate(run, epoch)
            is_best = score is not None and (progress.best is None or score > progress.best)
            progress = Progress(epoch, 0, score if is_best else progress.best)
            keep = epoch == last or epoch % run.train.checkpoint_period == 0
            run.checkpoints.save(run.state, progress, keep=keep, best=is_best)
            distributed.barrier()
    run.log.close()


def train_one_epoch(run: Run, progress: Progress, bar: Bar) -> None:
    """What ``progress`` leaves of an epoch: an optimiser step for each TRAIN.BATCH_SIZE clips."""
    state, solver, epoch = run.state, run.solver, progress.epoch + 1
    run.network.train()
    state.loss.start_epoch(epoch)
    for step, window in enumerate(windows(run, progress), start=progress.step):
        seed_step(run.seed, epoch, step)
        done = progress.epoch * run.steps_per_epoch + step
        lr = run.learning_rate(done)
        for group in state.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        accumulate_gradient(run, window, done)
        if solver.clip_grad_l2norm:
            nn.utils.clip_grad_norm_(run.network.parameters(), solver.clip_grad_l2norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.average.update()
        done += 1
        is_last = step + 1 == run.steps_per_epoch
        if done % run.look_period == 0 or is_last:
            look = state.seen.look(partial(message, run, epoch), run.checkpoints.due())
            if done % run.log_period == 0:
                run.log.write("train_step", epoch, done, loss=look.mean_loss, lr=lr)
            if look.save and not is_last:
                run.checkpoints.save_within(state, progress._replace(step=step + 1))
            text = f"epoch {epoch}/{solver.max_epoch} loss {look.mean_loss:.3f}"
            bar.update(bar.task_ids[0], description=text)
        bar.update(bar.task_ids[0], completed=done)
    run.quarantine.tell("train", epoch)
    loss, recall, counts = state.seen.take()
    run.log.write("train_epoch", epoch, done, loss=loss, lr=lr)
    tell(run, "train", recall, counts)
    merge_statistics(state.average.model)


def windows(run: Run, progress: Progress) -> Iterator[list[Batch]]:
    """The batches of each optimiser step that ``progress`` leaves of its epoch."""
    size = run.solver.accumulation_steps
    window: list[Batch] = []
    for batch in run.train_loader.batches(progress.epoch + 1, first=progress.step * size):
        window.append(run.quarantine.see("train", batch))
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window


def seed_step(seed: int, epoch: int, step: int) -> None:
    """Seeds what the network draws. Derived, not carried along: a resumed run draws the same."""
    sequence = np.random.SeedSequence([seed, epoch, step, distributed.rank()])
    torch.manual_seed(int(sequence.generate_state(1)[0]))


def accumulate_gradient(run: Run, window: list[Batch], step: int) -> None:
    """Adds up the gradient of the mean loss over the clips in ``window``."""
    num_clips = sum(len(part.label) for part in window)
    for part in window:
        batch = part.to(run.device)
        with nullcontext() if part is window[-1] else distributed.no_sync(run.network):
            logits = run.network(batch.video)
            loss = run.state.loss(logits, batch.label)
            (loss * (len(batch.label) / num_clips)).backward()
        run.state.seen.add(step, batch, logits, loss)
    run.state.seen.end_step()


def message(run: Run, epoch: int, step: int, clips: list[int], what: str) -> str:
    """That the loss of ``step`` is not finite, with the paths of ``clips``, if they are here."""
    paths = ", ".join(run.splits["train"].records[index].path for index in clips)
    return f"epoch {epoch}, step {step + 1}: the loss is {what}{f'; clips: {paths}' * bool(paths)}"


def tell(run: Run, split: str, recall: torch.Tensor, counts: torch.Tensor) -> None:
    """Hands the recall (K,) on ``split``, and its clips (K,), to who learns from it."""
    learners: tuple[Feedback, ...] = (run.state.loss, run.state.sampler)
    for part in learners:
        if part.source == split:
            part.observe(recall, counts)


def validate(run: Run, epoch: int) -> float:
    """Evaluates the validation split and hands its recall to loss and sampler.

    Returns:
        TRAIN.BEST_METRIC; without validation the epoch, so that the newest is the best.
    """
    state, names = run.state, run.splits.class_names
    if run.val_loader is None:
        write_difficulty(run, epoch, *torch.zeros(2, len(names)))
        return float(epoch)
    model = state.average.model
    if run.bn.use_precise_stats:
        precise_statistics(model, run.train_loader, epoch, run.bn.num_batches_precise)
    result = evaluate(
        model,
        run.val_loader,
        run.splits.labels("val"),
        len(names),
        leave_out=run.leave_out,
        on_batch=partial(run.quarantine.see, "val"),
    )
    run.quarantine.tell("val", epoch)
    metrics = result.metrics(names, run.groups, run.group_names)
    recall, counts = result.recall()
    tell(run, "val", recall, counts)
    run.log.write("val", epoch, epoch * run.steps_per_epoch, loss=result.loss, **metrics)
    write_difficulty(run, epoch, recall, counts)
    run.screen.print(
        f"epoch {epoch}: validation loss {result.loss:.3f}, top-1 {100 * metrics['top1']:.1f} %, "
        f"mean class recall {100 * metrics['mean_class_recall']:.1f} %"
    )
    return float(metrics[run.train.best_metric])


def write_difficulty(run: Run, epoch: int, recall: torch.Tensor, counts: torch.Tensor) -> None:
    """What loss or sampler make of the results of ``epoch``; 1 - recall where neither goes by it.

    ``recall`` (K,) of the validation and ``counts`` (K,), its clips; all 0 without validation.
    """
    loss, sampler = run.state.loss, run.state.sampler
    state = loss.class_state(epoch + 1) or sampler.class_state(epoch + 1)
    if state is None and counts.any():
        state = ClassState(1 - recall, loss.weights_in(epoch + 1), 0.0)
    if state is not None:
        sizes = run.splits.counts("train")
        run.log.write_difficulty(epoch, run.splits.class_names, state, recall, counts, sizes)
