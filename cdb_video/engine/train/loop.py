"""Trains a model: the whole loop, in reading order."""

from collections.abc import Callable

from rich.progress import Progress as Bar

from cdb_video import distributed
from cdb_video.engine.prepare.data import check_output_dir
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.record.boards import check_loggers
from cdb_video.engine.record.log import progress_bar
from cdb_video.engine.train.plan import Progress
from cdb_video.engine.train.run import Run, prepare
from cdb_video.engine.train.statistics import merge_statistics
from cdb_video.engine.train.validate import validate
from cdb_video.errors import Stopped
from cdb_video.options import Config
from cdb_video.output.run_folder import RunFolder
from cdb_video.system.stopping import stop_requests


def train(config: Config, after_epoch: Callable[[], object] = lambda: None) -> None:
    """Trains as ``config`` says and writes the run to OUTPUT_DIR.

    Another call with the same options resumes the run (TRAIN.AUTO_RESUME). Under torchrun every
    process calls this.

    Args:
        after_epoch: the main process calls it after saving an epoch.

    Raises:
        CdbVideoError: options, data or a checkpoint are wrong, another process trains in
            OUTPUT_DIR, or the loss is not finite.
        Stopped: a signal asked the run to stop. It has been saved.
    """
    check_output_dir(config)
    check_loggers(config.logger)
    device = choose_device(config)
    folder = RunFolder(config.output_dir)
    with distributed.process_group(device), folder.locked("train"), stop_requests() as stop:
        fit(prepare(config, device, stop), after_epoch)


def fit(run: Run, after_epoch: Callable[[], object] = lambda: None) -> None:
    """The epochs: train, validate, let losses and sampler observe, save."""
    learner, recorder, plan, progress = run
    with progress_bar(recorder.screen) as bar:
        bar.add_task("training", total=learner.learning_rate.num_steps)
        for epoch in range(progress.epoch + 1, plan.max_epoch + 1):
            if progress.step < plan.steps_per_epoch:
                train_one_epoch(run, progress, bar)
            score = None
            if plan.validates(epoch):
                try:
                    score = validate(run, epoch)
                except Stopped:
                    trained = progress._replace(step=plan.steps_per_epoch)
                    recorder.checkpoints.save_within(learner, trained)
                    raise
            is_best = score is not None and (progress.best is None or score > progress.best)
            progress = Progress(epoch, 0, score if is_best else progress.best)
            stop = epoch < plan.max_epoch and distributed.anywhere(plan.stop.asked)
            keep = stop or plan.keeps(epoch)
            recorder.checkpoints.save(learner, progress, keep=keep, best=is_best)
            distributed.barrier()
            if distributed.is_main():
                after_epoch()
            if stop:
                raise plan.stop.stopped(f"epoch {epoch}")
    recorder.log.close({f"best/{plan.best_metric}": progress.best or 0.0})


def train_one_epoch(run: Run, progress: Progress, bar: Bar) -> None:
    """The rest of an epoch after ``progress``: an optimiser step every TRAIN.BATCH_SIZE clips."""
    learner, recorder, plan = run.learner, run.recorder, run.plan
    learner.start_epoch(progress.epoch + 1)
    recorder.clock.start()
    for step, window in plan.steps(progress, recorder.batches(plan, progress)):
        recorder.first_clips(window, step)
        usable = recorder.finite.gradient(learner, window, step)
        look = recorder.look(learner, plan, window, step) if plan.looks_after(step) else None
        if usable:
            learner.update()
        learner.optimizer.zero_grad()
        if look is not None:
            recorder.tell_step(look, learner, plan, step, bar)
            if (look.save or look.stop) and not step.is_last:
                recorder.save_within(learner, progress, step)
                if look.stop:
                    raise plan.stop.stopped(f"epoch {step.epoch}, step {step.number + 1}")
        bar.update(bar.task_ids[0], completed=step.total + 1)
    learner.observe("train", recorder.end_epoch(learner, step))
    merge_statistics(learner.average.model)
