"""Prepares a training run: everything is built and checked before OUTPUT_DIR is touched."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from rich.console import Console
from torch import nn

from cdb_video import distributed
from cdb_video.config.tree import dump, flat
from cdb_video.data.batches.batch import BatchLoader
from cdb_video.data.lists.splits import Splits
from cdb_video.engine.evaluate.quarantine import Quarantine
from cdb_video.engine.prepare.class_means import set_head_to_class_means
from cdb_video.engine.prepare.data import (
    SHARED,
    clips_a_pass,
    make_eval_loader,
    make_train_loader,
    read_splits,
    shared_memory,
    tolerated,
)
from cdb_video.engine.prepare.groups import class_groups
from cdb_video.engine.prepare.model import make_model, set_up_tuning, share_gradient
from cdb_video.engine.prepare.normalisation import set_normalisation
from cdb_video.engine.prepare.objective import make_objective, parts_of
from cdb_video.engine.prepare.optim import LearningRate, make_optimizer
from cdb_video.engine.prepare.precision import choose_precision, set_precision
from cdb_video.engine.record.clock import Clock, surroundings
from cdb_video.engine.record.log import RunLog, console
from cdb_video.engine.train.average import WeightAverage
from cdb_video.engine.train.numbers import LossWatch
from cdb_video.engine.train.resume import go_on, newest
from cdb_video.engine.train.saving import Checkpoints, Identity, Progress, State
from cdb_video.engine.train.seen import Seen
from cdb_video.metrics.groups import Grouping
from cdb_video.models import Checkpoint, Classifier, locate
from cdb_video.models.part_heads import PartHeads
from cdb_video.options import Config
from cdb_video.output.run_folder import RunFolder
from cdb_video.parts import Parts, as_plain
from cdb_video.sections import BatchNorm, Solver, Train
from cdb_video.system.files import write_text
from cdb_video.system.stopping import StopRequest
from cdb_video.system.threads import choose_threads


class Run(NamedTuple):
    """Everything that training needs."""

    train: Train
    solver: Solver
    bn: BatchNorm
    seed: int
    log_period: int
    device: torch.device
    splits: Splits
    grouping: Grouping
    parts: Parts
    """Of the classes, where the network has a head for each."""
    train_loader: BatchLoader
    val_loader: BatchLoader | None
    """None without validation."""
    network: nn.Module
    """``state.model`` as it trains: in the wrapper for several processes."""
    state: State
    learning_rate: LearningRate
    steps_per_epoch: int
    look_period: int
    """Steps from one read of the device to the next."""
    watch: LossWatch
    quarantine: Quarantine
    leave_out: bool
    """Whether bad clips of validation do not count."""
    checkpoints: Checkpoints
    progress: Progress
    log: RunLog
    clock: Clock
    screen: Console
    stop: StopRequest
    after_epoch: Callable[[], object] = lambda: None
    """Called by the main process once an epoch is saved."""


def prepare(config: Config, device: torch.device, stop: StopRequest | None = None) -> Run:
    """Builds a run, or brings an interrupted one back to where it was.

    Args:
        stop: by which the run can be asked to stop; nobody asks without.

    Raises:
        CdbVideoError: options, data, weights or a checkpoint are wrong.
    """
    screen, folder = console(), RunFolder(config.output_dir)
    used = ("train", "val") if config.train.eval_period else ("train",)
    splits = read_splits(config, *used)
    splits.check_files(*used, max_bad_fraction=tolerated(config))
    grouping, num_classes = class_groups(config, splits), len(splits.class_names)
    loss, sampler, mixer = make_objective(config, splits, device)
    train_loader = make_train_loader(config, splits, sampler, device)
    val_loader = make_eval_loader(config, splits, "val", device) if "val" in used else None
    parts = parts_of(config, splits)
    identity = Identity(splits.class_names, grouping.groups, dump(config), as_plain(parts))
    latest = newest(folder, identity, screen) if config.train.auto_resume else None
    set_threads(config, latest)
    model = starting_model(config, splits, latest, device, screen)
    average = WeightAverage(model, config.train.ema_decay)
    network = share_gradient(config, model, average.model, device)
    optimizer = make_optimizer(model, config.solver)
    scaler = torch.amp.GradScaler(device.type, enabled=model.precision == "fp16")
    own = (model, optimizer, loss, sampler, mixer, average, scaler)
    state = State(*own, Seen(num_classes, device, parts))
    progress = go_on(state, latest, folder, screen) if latest else Progress()
    steps_per_epoch = -(-len(train_loader) // config.solver.accumulation_steps)
    _announce(config, splits, model, progress, screen)
    _take_folder(folder, identity, anew=not config.train.auto_resume)
    return Run(
        train=config.train,
        solver=config.solver,
        bn=config.bn,
        seed=config.rng_seed,
        log_period=config.log_period,
        device=device,
        splits=splits,
        grouping=grouping,
        parts=parts,
        train_loader=train_loader,
        val_loader=val_loader,
        network=network,
        state=state,
        learning_rate=LearningRate(config.solver, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        look_period=1 if device.type == "cpu" else config.log_period,
        watch=LossWatch(),
        quarantine=Quarantine(folder, splits, config.data, screen),
        leave_out=config.test.on_bad_clip == "leave_out",
        checkpoints=Checkpoints(folder, identity, config.train),
        progress=progress,
        log=_open_log(config, folder, progress, steps_per_epoch, device, screen),
        clock=Clock(device),
        screen=screen,
        stop=StopRequest() if stop is None else stop,
    )


def set_threads(config: Config, latest: Checkpoint | None) -> None:
    """Lets torch compute with as many threads as NUM_THREADS says, or ``latest`` did."""
    kept = (latest.training or {}).get("threads") if latest else None
    kept = kept if isinstance(kept, int) and kept > 0 else None
    chosen = config.num_threads or kept or choose_threads(config.data_loader.num_workers)
    torch.set_num_threads(chosen)


def starting_model(
    config: Config,
    splits: Splits,
    latest: Checkpoint | None,
    device: torch.device,
    screen: Console,
) -> Classifier:
    """The model as ``latest``, MODEL.PRETRAINED or chance let it begin, ready to be tuned.

    The tensors of ``latest`` are not in it yet: ``restore`` brings them with the rest of the run.
    """
    parts = parts_of(config, splits)
    model = make_model(config, len(splits.class_names), device, parts)
    source = latest or fetch(config.model.pretrained)
    set_normalisation(model, config.data, source, screen, strict=latest is not None)
    if source and not latest:
        screen.print(str(source.fit_into(model, config.model.pretrained_min_fraction)))
    if config.model.head_init == "class_means" and not latest:
        set_head_to_class_means(model, config, splits, device, screen)
    set_up_tuning(config, model)
    if isinstance(model.fc, PartHeads):
        model.fc.apart = True
    if config.train.precision == "auto":
        clips = (clips_a_pass(config), config.data.num_frames, config.data.crop_size)
        set_precision(model, choose_precision(model, clips, latest, screen))
    return model


def fetch(source: str) -> Checkpoint | None:
    """What MODEL.PRETRAINED names, which one process of a machine downloads for all."""
    if not source:
        return None
    path = locate(source) if distributed.local_rank() == 0 else None
    distributed.barrier()
    return Checkpoint.read(path or locate(source))


def _open_log(
    config: Config,
    folder: RunFolder,
    progress: Progress,
    steps: int,
    device: torch.device,
    screen: Console,
) -> RunLog:
    done = progress.epoch * steps + progress.step
    log = RunLog(folder, progress.epoch, done, config.logger, flat(config), screen)
    log.facts(done, **surroundings(device))
    return log


def _take_folder(folder: RunFolder, identity: Identity, anew: bool) -> None:
    """Makes ``folder`` this run's, without an earlier one in it where it starts ``anew``."""
    folder.check_test_folder()
    if distributed.is_main():
        if anew:
            folder.clear()
        write_text(folder.config, identity.config)
    distributed.barrier()


def _announce(
    config: Config, splits: Splits, model: nn.Module, progress: Progress, screen: Console
) -> None:
    for oddity in splits.oddities():
        screen.print(f"warning: {oddity}")
    memory = shared_memory(config)
    if memory and memory[0] > memory[1] and len(splits["train"].files):
        screen.print(
            f"warning: {SHARED} has {memory[1] / 1e6:,.0f} MB free, batches need up to "
            f"{memory[0] / 1e6:,.0f} MB: make it larger, or DATA_LOADER.NUM_WORKERS smaller"
        )
    threads = torch.get_num_threads()
    num_val = len(splits["val"].records) if config.train.eval_period else "no"
    screen.print(
        f"{len(splits['train'].records)} training and {num_val} validation clips "
        f"of {len(splits.class_names)} classes; {config.model.name} with "
        f"{sum(p.numel() for p in model.parameters()):,} parameters on "
        f"{next(model.parameters()).device} ({threads} thread{'s' * (threads != 1)}); "
        f"output in {config.output_dir}"
    )
    if progress.epoch or progress.step:
        steps = f" and {progress.step} steps" if progress.step else ""
        screen.print(
            f"{progress.epoch} of {config.solver.max_epoch} epochs{steps} are done already"
        )
