"""Prepares a training run: everything is built and checked before OUTPUT_DIR is touched."""

import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console

from cdb_video import distributed
from cdb_video.config import dump
from cdb_video.data.batch import BatchLoader
from cdb_video.engine import parts
from cdb_video.engine.average import WeightAverage
from cdb_video.engine.checkpoint import Checkpoints, Progress, State, latest_checkpoint
from cdb_video.engine.files import replacing
from cdb_video.engine.log import RunLog, console
from cdb_video.engine.normalisation import with_normalisation
from cdb_video.engine.optim import LearningRate, make_optimizer
from cdb_video.engine.recall import TrainingRecall
from cdb_video.errors import ConfigError
from cdb_video.models import load_weights, locate
from cdb_video.options import Config

LEFT_BEHIND = (
    *("checkpoints", "tensorboard", "test", "log.jsonl", "difficulty.csv", "report.html"),
    *("features", "crt", "lws", "tau_norm", "ncm"),
)


class Run(NamedTuple):
    """Everything that training needs."""

    config: Config
    device: torch.device
    clips: parts.Clips
    groups: list[str]
    """(K,) the name of each class's group."""
    train_loader: BatchLoader
    val_loader: BatchLoader | None
    """None without validation."""
    state: State
    training_recall: TrainingRecall
    learning_rate: LearningRate
    steps_per_epoch: int
    checkpoints: Checkpoints
    progress: Progress
    log: RunLog
    screen: Console


def prepare(config: Config, device: torch.device) -> Run:
    """Builds a run, or brings an interrupted one back to where it was.

    Raises:
        CdbVideoError: options, data, weights or a checkpoint are wrong.
    """
    screen = console()
    validates = config.train.eval_period > 0
    clips = parts.read_clips(config, ("train", "val") if validates else ("train",))
    groups = parts.class_groups(config, clips)
    sampler = parts.make_sampler(config, clips)
    train_loader = parts.make_train_loader(config, clips, sampler, device)
    val_loader = parts.make_eval_loader(config, clips, "val", device) if validates else None
    model = parts.make_model(config, len(clips.class_names), device)
    latest = latest_checkpoint(config)
    source = latest or fetch(config.model.pretrained)
    config = with_normalisation(config, model, source, screen, strict=latest is not None)
    parts.set_up_tuning(config, model)
    loss = parts.make_loss(config, clips, device)
    parts.check_validation(config, loss, sampler)
    optimizer = make_optimizer(model, config.solver)
    average = WeightAverage(model, config.train.ema_decay)
    state = State(model, optimizer, loss, sampler, average)
    steps_per_epoch = -(-len(train_loader) // config.solver.accumulation_steps)
    checkpoints = Checkpoints(config, clips.class_names)
    progress = checkpoints.resume(state) if config.train.auto_resume else Progress()
    if source and not progress.epoch:
        screen.print(str(load_weights(model, source, config.model.pretrained_min_fraction)))
    screen.print(
        f"{len(clips.records['train'])} training and "
        f"{len(clips.records['val']) if validates else 'no'} validation clips "
        f"of {len(clips.class_names)} classes; {config.model.name} with "
        f"{sum(p.numel() for p in model.parameters()):,} parameters on {device}; "
        f"output in {config.output_dir}"
    )
    if progress.epoch:
        screen.print(f"{progress.epoch} of {config.solver.max_epoch} epochs are done already")
    _open_output(config)
    return Run(
        config,
        device,
        clips,
        groups,
        train_loader,
        val_loader,
        state,
        TrainingRecall(len(clips.class_names), device),
        LearningRate(config.solver, steps_per_epoch),
        steps_per_epoch,
        checkpoints,
        progress,
        RunLog(Path(config.output_dir), progress.epoch),
        screen,
    )


def fetch(source: str) -> Path | None:
    """What MODEL.PRETRAINED names, on this machine, where one process downloads it for all."""
    if not source:
        return None
    path = locate(source) if distributed.local_rank() == 0 else None
    distributed.barrier()
    return path or locate(source)


def _open_output(config: Config) -> None:
    output_dir = Path(config.output_dir)
    if distributed.is_main():
        for name in () if config.train.auto_resume else LEFT_BEHIND:
            path = output_dir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        try:
            with replacing(output_dir / "config.yaml") as path:
                path.write_text(dump(config), encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"OUTPUT_DIR must be a folder to write in, got {output_dir}: {error.strerror}"
            ) from None
    distributed.barrier()
