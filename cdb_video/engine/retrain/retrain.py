"""Decoupled training: a new classifier on the frozen backbone of a trained checkpoint."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from cdb_video import distributed
from cdb_video.config.tree import dump
from cdb_video.engine.evaluate.test import tested_checkpoint, write_test
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.prepare.model import open_model
from cdb_video.engine.prepare.task import read_task
from cdb_video.engine.record.log import RunLog, console
from cdb_video.engine.retrain.base import Retrainer
from cdb_video.engine.retrain.kept_features import split_features
from cdb_video.engine.retrain.work import Work
from cdb_video.engine.train.saving import Identity, save_model
from cdb_video.errors import ConfigError
from cdb_video.options import Config
from cdb_video.output.run_folder import RunFolder
from cdb_video.registry import RETRAINERS
from cdb_video.system.files import sha256, write_text

SPLITS = ("train", "val", "test")


def retrain(config: Config) -> dict[str, Any]:
    """Makes a classifier by RETRAIN.METHOD, writes it to OUTPUT_DIR/<method> and tests it.

    The checkpoint is TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best. Features are computed once
    and stored in OUTPUT_DIR/features for all methods.

    Returns:
        ``metrics.json`` of the test.

    Raises:
        CdbVideoError: there is no checkpoint, it does not fit, or options or data are wrong.
    """
    check_retrain(config)
    device = choose_device(config)
    with distributed.process_group(device), RunFolder(config.output_dir).locked("retrain"):
        return _retrain(config, device)


def check_retrain(config: Config) -> None:
    """Raises ``ConfigError`` with several processes, or if RETRAIN.METHOD does not fit the head of
    the network."""
    method = config.retrain.method
    if distributed.world_size() > 1:
        raise ConfigError(
            "a classifier is retrained by one process, without torchrun, got "
            f"{distributed.world_size()} processes"
        )
    if config.model.head == "cosine" and not RETRAINERS.get(method).from_scratch:
        names = [name for name in RETRAINERS.names() if RETRAINERS.get(name).from_scratch]
        raise ConfigError(
            f"RETRAIN.METHOD must be {', '.join(names)} for MODEL.HEAD cosine, got {method!r}"
        )
    taus = getattr(config.retrain.options, "taus", ())
    if len(taus) > 1 and not config.train.eval_period:
        raise ConfigError(
            f"RETRAIN.METHOD {method} chooses among RETRAIN.{method.upper()}.TAUS on a validation "
            "split, which TRAIN.EVAL_PERIOD 0 is without: give one of them"
        )
    if config.model.heads != "one" or config.model.head == "attentive":
        raise ConfigError(
            "a classifier is retrained with MODEL.HEADS one and HEAD linear or cosine, got "
            f"{config.model.heads} and {config.model.head}"
        )


def _retrain(config: Config, device: torch.device) -> dict[str, Any]:
    screen, method = console(), config.retrain.method
    retrainer: Retrainer = RETRAINERS.get(method)(config.retrain.options)
    source = tested_checkpoint(config)
    splits = [name for name in SPLITS if name != "val" or config.train.eval_period]
    task = read_task(config, *splits, files=False)
    source.check_classes(task.outputs.class_names)
    model = open_model(config, source, task.outputs, device, screen)
    own, folder = _own_config(config), RunFolder(config.output_dir).retrained(method)
    folder.check_test_folder()
    identity = Identity(task.outputs, task.grouping, dump(own))
    write_text(folder.config, identity.config)
    checkpoint = sha256(source.path)
    features = {
        split: split_features(config, task.splits, split, model, checkpoint, source.epoch, screen)
        for split in splits
    }
    trained = model.get_submodule("fc").cpu()
    assert isinstance(trained, nn.Linear)
    work = Work(
        best_metric=config.train.best_metric,
        seed=config.rng_seed,
        class_names=task.outputs.class_names,
        grouping=task.grouping,
        features=features,
        leave_out=config.test.on_bad_clip == "leave_out",
        trained=trained,
        mix_options=config.mix.options if config.mix.name == "lmr" else None,
        log=RunLog(folder, screen=screen),
        screen=screen,
    )
    head, origin = retrainer.make(work)
    work.log.close()
    model.fc, model.architecture = head, replace(model.architecture, head="linear")
    origin = {"method": method, "checkpoint": str(source.path), **origin}
    save_model(folder, identity, model, retrainer.num_epochs, origin)
    if "val" in features:
        before, after = (work.score(one) for one in (trained, head))
        screen.print(
            f"{method}: validation {own.train.best_metric} {100 * after:.1f} %, "
            f"{100 * before:.1f} % with the classifier of {source.path}"
        )
    result = work.evaluate(head, "test")
    return write_test(folder, own.test, task, result, folder.best, retrainer.num_epochs)


def _own_config(config: Config) -> Config:
    """The options with which ``test`` tests the result."""
    return replace(
        config,
        output_dir=str(RunFolder(config.output_dir).retrained(config.retrain.method).path),
        model=replace(config.model, head="linear"),
        test=replace(config.test, checkpoint_file_path=""),
    )
