"""Prepares a training run: everything is built and checked before OUTPUT_DIR is touched."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from rich.console import Console

from cdb_video import distributed
from cdb_video.config.tree import dump, flat, free_keys
from cdb_video.data.samplers.base import Sampler
from cdb_video.engine.evaluate.quarantine import Quarantine
from cdb_video.engine.prepare.data import SHARED, make_loaders, shared_memory
from cdb_video.engine.prepare.objective import Objective, make_objective
from cdb_video.engine.prepare.optim import LearningRate, make_optimizer
from cdb_video.engine.prepare.start import starting_model
from cdb_video.engine.prepare.task import Task, read_task
from cdb_video.engine.prepare.tuning import share_gradient
from cdb_video.engine.record.clock import Clock, surroundings
from cdb_video.engine.record.log import RunLog, console
from cdb_video.engine.train.average import WeightAverage
from cdb_video.engine.train.finite import FiniteCheck
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.plan import Plan, Progress
from cdb_video.engine.train.recorder import Recorder
from cdb_video.engine.train.resume import check_lists, go_on, newest
from cdb_video.engine.train.saving import Checkpoints, Identity
from cdb_video.engine.train.seen import Seen
from cdb_video.models import Checkpoint, Classifier
from cdb_video.options import Config
from cdb_video.output.list_facts import write_list_facts
from cdb_video.output.run_folder import RunFolder
from cdb_video.registry import RETRAINERS
from cdb_video.system.files import write_text
from cdb_video.system.stopping import StopRequest
from cdb_video.system.threads import choose_threads


class Run(NamedTuple):
    """A training run, ready to go."""

    learner: Learner
    recorder: Recorder
    plan: Plan
    progress: Progress


def prepare(config: Config, device: torch.device, stop: StopRequest | None = None) -> Run:
    """Builds a run, or restores an interrupted one.

    Args:
        stop: asks the run to stop; None if nobody does.

    Raises:
        CdbVideoError: options, data, weights or a checkpoint are wrong.
    """
    screen, folder = console(), RunFolder(config.output_dir)
    task = read_task(config, *(("train", "val") if config.train.eval_period else ("train",)))
    objective = make_objective(config, task, device)
    plan = make_plan(config, task, objective.sampler, device, stop or StopRequest())
    identity = Identity(task.outputs, task.grouping, dump(config))
    latest, lists = None, task.splits.facts()
    if config.train.auto_resume:
        latest = newest(folder, identity, {*free_keys(Config)}, screen)
    if latest and config.train.changed_lists == "refuse":
        check_lists(folder, lists)
    identity = identity._replace(
        config=dump(replace(config, num_threads=set_threads(config, latest)))
    )
    model = starting_model(config, task, latest, device, screen)
    learner = make_learner(config, model, objective, plan, Clock(device))
    progress = go_on(learner, latest, folder, screen) if latest else Progress()
    _announce(config, task, model, progress, screen)
    _take_folder(folder, identity, lists, anew=not config.train.auto_resume)
    recorder = make_recorder(config, identity, learner, plan, progress, screen)
    return Run(learner, recorder, plan, progress)


def make_plan(
    config: Config, task: Task, sampler: Sampler, device: torch.device, stop: StopRequest
) -> Plan:
    """The plan, which no checkpoint changes."""
    train_loader, val_loader = make_loaders(config, task.splits, sampler, device)
    accumulation_steps = config.solver.accumulation_steps
    return Plan(
        task=task,
        train_loader=train_loader,
        val_loader=val_loader,
        max_epoch=config.solver.max_epoch,
        steps_per_epoch=-(-len(train_loader) // accumulation_steps),
        accumulation_steps=accumulation_steps,
        eval_period=config.train.eval_period or 1,
        checkpoint_period=config.train.checkpoint_period,
        log_period=config.log_period,
        look_period=1 if device.type == "cpu" else config.log_period,
        best_metric=config.train.best_metric,
        precise_batches=config.bn.num_batches_precise if config.bn.use_precise_stats else 0,
        leave_out=config.test.on_bad_clip == "leave_out",
        seed=config.rng_seed,
        device=device,
        stop=stop,
    )


def make_learner(
    config: Config, model: Classifier, objective: Objective, plan: Plan, clock: Clock
) -> Learner:
    """The learner at the beginning of a run."""
    average = WeightAverage(model, config.train.ema_decay)
    network = share_gradient(config.parallel, model, average.model, plan.device)
    return Learner(
        model=model,
        network=network,
        losses=objective.losses,
        sampler=objective.sampler,
        mixer=objective.mixer,
        optimizer=make_optimizer(model, config.solver),
        scaler=torch.amp.GradScaler(plan.device.type, enabled=model.precision == "fp16"),
        average=average,
        seen=Seen(plan.task.outputs, plan.device),
        learning_rate=LearningRate(config.solver, plan.steps_per_epoch),
        clip_norm=config.solver.clip_grad_l2norm,
        seed=plan.seed,
        device=plan.device,
        clock=clock,
    )


def make_recorder(
    config: Config,
    identity: Identity,
    learner: Learner,
    plan: Plan,
    progress: Progress,
    screen: Console,
) -> Recorder:
    """The recorder. The log drops lines after ``progress``."""
    folder, splits = RunFolder(config.output_dir), plan.task.splits
    done = progress.epoch * plan.steps_per_epoch + progress.step
    log = RunLog(folder, progress.epoch, done, config.logger, flat(config), screen)
    log.facts(done, **surroundings(plan.device))
    checkpoints = Checkpoints(folder, identity, config.train)
    return Recorder(
        log=log,
        clock=learner.clock,
        screen=screen,
        quarantine=Quarantine(
            folder, splits, config.data.decoder, config.data.max_bad_fraction, screen
        ),
        checkpoints=checkpoints,
        finite=FiniteCheck(config.train, splits["train"].records, checkpoints, screen),
    )


def set_threads(config: Config, latest: Checkpoint | None) -> int:
    """Sets torch's number of threads to NUM_THREADS, or to that of ``latest``; returns it."""
    kept = (latest.training or {}).get("threads") if latest else None
    kept = kept if isinstance(kept, int) and kept > 0 else None
    chosen = config.num_threads or kept or choose_threads()
    torch.set_num_threads(chosen)
    return chosen


def _take_folder(folder: RunFolder, identity: Identity, lists: dict[str, Any], anew: bool) -> None:
    """Prepares ``folder`` for this run. Deletes an earlier run if this one starts ``anew``.

    Raises:
        ConfigError: that run is being tested, or a classifier retrained.
    """
    folder.check_test_folder()
    if distributed.is_main():
        if anew:
            with folder.locked("test"), folder.locked("retrain"):
                folder.clear(RETRAINERS.names())
        write_text(folder.config, identity.config)
        write_list_facts(folder.lists, lists)
    distributed.barrier()


def _announce(
    config: Config, task: Task, model: Classifier, progress: Progress, screen: Console
) -> None:
    splits = task.splits
    threads = torch.get_num_threads()
    num_val = len(splits["val"].records) if config.train.eval_period else "no"
    screen.print(
        f"{len(splits['train'].records)} training and {num_val} validation clips "
        f"of {len(splits.class_names)} classes; {config.model.name} with "
        f"{sum(p.numel() for p in model.parameters()):,} parameters on "
        f"{next(model.parameters()).device} ({threads} {'thread' if threads == 1 else 'threads'}); "
        f"output in {config.output_dir}"
    )
    for oddity in splits.oddities():
        screen.print(f"warning: {oddity}")
    memory = shared_memory(config)
    if memory and memory[0] > memory[1] and len(splits["train"].files):
        screen.print(
            f"warning: {SHARED} has {memory[1] / 1e6:,.0f} MB free, batches need up to "
            f"{memory[0] / 1e6:,.0f} MB: make it larger, or DATA_LOADER.NUM_WORKERS smaller"
        )
    if progress.epoch or progress.step:
        steps = f" and {progress.step} steps" if progress.step else ""
        screen.print(f"{progress.epoch} of {config.solver.max_epoch} epochs{steps} are done")
