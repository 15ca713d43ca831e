"""Trains a model: the whole loop, in reading order."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from rich.progress import Progress as Bar
from torch import nn

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.engine.prepare.data import check_output_dir
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.record.boards import check_loggers
from cdb_video.engine.record.log import progress_bar
from cdb_video.engine.record.pictures import clip_grid
from cdb_video.engine.train.faults import buffers_before, not_finite, skip_step
from cdb_video.engine.train.forward import forward, mostly_own
from cdb_video.engine.train.numbers import is_finite
from cdb_video.engine.train.run import Run, prepare
from cdb_video.engine.train.saving import Progress, check_finite
from cdb_video.engine.train.statistics import merge_statistics
from cdb_video.engine.train.validate import tell, validate
from cdb_video.errors import ConfigError, Stopped
from cdb_video.options import Config
from cdb_video.output.run_folder import RunFolder
from cdb_video.system.stopping import stop_requests


def train(config: Config, after_epoch: Callable[[], object] = lambda: None) -> None:
    """Trains as ``config`` says and leaves the run in OUTPUT_DIR.

    Goes on where an earlier call stopped (TRAIN.AUTO_RESUME). Under torchrun every process calls
    this.

    Args:
        after_epoch: called by the main process once an epoch is saved.

    Raises:
        CdbVideoError: options, data or a checkpoint are wrong, another process trains in
            OUTPUT_DIR, or the loss is not finite.
        Stopped: a signal asked the run to stop; it has saved itself.
    """
    check_output_dir(config)
    check_loggers(config.logger)
    device = choose_device(config)
    folder = RunFolder(config.output_dir)
    with distributed.process_group(device), folder.locked("train"), stop_requests() as stop:
        fit(prepare(config, device, stop)._replace(after_epoch=after_epoch))


def fit(run: Run) -> None:
    """The epochs: train, validate, let loss and sampler observe, save."""
    progress, last = run.progress, run.solver.max_epoch
    with progress_bar(run.screen) as bar:
        bar.add_task("training", total=run.learning_rate.num_steps)
        for epoch in range(progress.epoch + 1, last + 1):
            run.state.loss.start_epoch(epoch)
            if progress.step < run.steps_per_epoch:
                train_one_epoch(run, progress, bar)
            score = None
            if epoch == last or epoch % (run.train.eval_period or 1) == 0:
                try:
                    score = validate(run, epoch)
                except Stopped:
                    trained = progress._replace(step=run.steps_per_epoch)
                    run.checkpoints.save_within(run.state, trained)
                    raise
            is_best = score is not None and (progress.best is None or score > progress.best)
            progress = Progress(epoch, 0, score if is_best else progress.best)
            stop = epoch < last and distributed.anywhere(run.stop.asked)
            keep = stop or epoch == last or epoch % run.train.checkpoint_period == 0
            run.checkpoints.save(run.state, progress, keep=keep, best=is_best)
            distributed.barrier()
            if distributed.is_main():
                run.after_epoch()
            if stop:
                raise run.stop.stopped(f"epoch {epoch}")
    run.log.close({f"best/{run.train.best_metric}": progress.best or 0.0})


def train_one_epoch(run: Run, progress: Progress, bar: Bar) -> None:
    """What ``progress`` leaves of an epoch: an optimiser step for each TRAIN.BATCH_SIZE clips."""
    state, solver, epoch = run.state, run.solver, progress.epoch + 1
    run.network.train()
    run.clock.start()
    for step, window in enumerate(windows(run, progress), start=progress.step):
        seed_step(run.seed, epoch, step)
        done = progress.epoch * run.steps_per_epoch + step
        lr = run.learning_rate(done)
        for group in state.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        if done == 0:
            run.log.picture("training clips", done, partial(clip_grid, window[0].video))
        buffers = buffers_before(run)
        accumulate_gradient(run, window, done)
        # The scaler of fp16 leaves out steps that overflow by itself.
        decides = run.train.on_nan == "skip" and not state.scaler.is_enabled()
        kept = not decides or is_finite(run.network.parameters())
        if kept:
            state.seen.end_step()
        else:
            skip_step(run, epoch, step, window, buffers)
        done += 1
        is_last = step + 1 == run.steps_per_epoch
        look = None
        if done % run.look_period == 0 or is_last:
            due, asked = run.checkpoints.due(), run.stop.asked
            look = state.seen.look(partial(not_finite, run, epoch, window), due, asked)
        if kept:
            with run.clock.part("optimiser"):
                take_step(run)
        state.optimizer.zero_grad()
        if look is not None:
            run.watch.see(look, run.screen)
            if done % run.log_period == 0:
                run.log.write("train_step", epoch, done, loss=look.mean_loss, lr=lr)
            if (look.save or look.stop) and not is_last:
                check_finite(state, epoch, step + 1)
                run.checkpoints.save_within(state, progress._replace(step=step + 1))
                if look.stop:
                    raise run.stop.stopped(f"epoch {epoch}, step {step + 1}")
            costs = run.clock.line(run.screen.width)
            text = f"epoch {epoch}/{solver.max_epoch} loss {look.mean_loss:.3f}, {costs}"
            bar.update(bar.task_ids[0], description=text)
        bar.update(bar.task_ids[0], completed=done)
    check_finite(state, epoch, run.steps_per_epoch)
    run.quarantine.tell("train", epoch)
    loss, recall, counts = state.seen.take()
    run.log.write("train_epoch", epoch, done, loss=loss, lr=lr)
    run.log.facts(done, epoch=epoch, **run.clock.numbers())
    tell(run, "train", recall, counts)
    merge_statistics(state.average.model)


def windows(run: Run, progress: Progress) -> Iterator[list[Batch]]:
    """The batches of each optimiser step that ``progress`` leaves of its epoch."""
    size = run.solver.accumulation_steps
    window: list[Batch] = []
    batches = run.train_loader.batches(progress.epoch + 1, first=progress.step * size)
    for batch in run.clock.waiting(batches):
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


def take_step(run: Run) -> None:
    """One step of the optimiser, and of the average, by the gradient that is there."""
    state = run.state
    if run.solver.clip_grad_l2norm:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(run.network.parameters(), run.solver.clip_grad_l2norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.average.update()


def accumulate_gradient(run: Run, window: list[Batch], step: int) -> None:
    """Adds up the gradient of the mean loss over the clips in ``window``."""
    num_clips = sum(len(part.label) for part in window)
    for part in window:
        batch = part.to(run.device)
        with nullcontext() if part is window[-1] else distributed.no_sync(run.network):
            try:
                with run.clock.part("forward"):
                    logits, target = forward(run.network, run.state.model, run.state.mixer, batch)
                    loss = run.state.loss(logits, target)
            except ValueError as error:
                raise _too_small(batch, error) from None
            with run.clock.part("backward"):
                run.state.scaler.scale(loss * (len(batch.label) / num_clips)).backward()
        run.state.seen.add(step, batch, logits, loss, mostly_own(target, batch.label))


def _too_small(batch: Batch, error: ValueError) -> Exception:
    """What to say where batch norm has a single value to average over, else ``error``."""
    if not str(error).startswith("Expected more than 1 value per channel"):
        return error
    return ConfigError(
        f"TRAIN.BATCH_SIZE must give batch norm more than one value to average over, got "
        f"{len(batch.label)} clip for a process; MODEL.FROZEN_BN true averages nothing"
    )
