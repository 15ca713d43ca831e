"""Decoupled training: another classifier on the frozen backbone of a trained checkpoint."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from cdb_video import distributed
from cdb_video.config.tree import dump
from cdb_video.data.lists.splits import Splits
from cdb_video.engine.evaluate.features import split_features
from cdb_video.engine.evaluate.test import tested_checkpoint, write_test
from cdb_video.engine.prepare.data import read_splits
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.prepare.groups import class_groups
from cdb_video.engine.prepare.model import make_model
from cdb_video.engine.prepare.normalisation import set_normalisation
from cdb_video.engine.prepare.precision import compute_as_trained
from cdb_video.engine.record.log import RunLog, console
from cdb_video.engine.retrain.second_stage import (
    METHODS,
    WITHOUT_EPOCHS,
    Work,
    evaluate_head,
    score,
)
from cdb_video.engine.train.saving import Identity, save_model
from cdb_video.errors import ConfigError
from cdb_video.mixing.base import Mixer
from cdb_video.options import Config
from cdb_video.output.run_folder import RunFolder
from cdb_video.registry import MIXERS
from cdb_video.system.files import sha256, write_text

SPLITS = ("train", "val", "test")
ANEW = ("crt", "lmr", "los", "ncm")
"""Methods that take nothing over from the classifier of the checkpoint."""


def retrain(config: Config) -> dict[str, Any]:
    """Makes a classifier by RETRAIN.METHOD, writes it to OUTPUT_DIR/<method> and tests it.

    The checkpoint is TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best. Features are computed once
    and kept in OUTPUT_DIR/features for all methods.

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
    """Raises ``ConfigError`` where there are several processes, or where RETRAIN.METHOD does not go
    with the head of the network."""
    method = config.retrain.method
    if distributed.world_size() > 1:
        raise ConfigError(
            "a classifier is retrained by one process, without torchrun, got "
            f"{distributed.world_size()} processes"
        )
    if config.model.head == "cosine" and method not in ANEW:
        raise ConfigError(
            f"RETRAIN.METHOD must be {', '.join(ANEW)} for MODEL.HEAD cosine, got {method!r}"
        )
    if config.model.heads != "one" or config.model.head == "attentive":
        raise ConfigError(
            "a classifier is retrained with MODEL.HEADS one and HEAD linear or cosine, got "
            f"{config.model.heads} and {config.model.head}"
        )


def _retrain(config: Config, device: torch.device) -> dict[str, Any]:
    screen, method = console(), config.retrain.method
    source = tested_checkpoint(config)
    splits = read_splits(config, *SPLITS)
    grouping = class_groups(config, splits)
    source.check_classes(splits.class_names)
    model = make_model(config, len(splits.class_names), device)
    source.load_into(model)
    compute_as_trained(model, config.train.precision, source)
    set_normalisation(model, config.data, source, screen, strict=True)
    own, folder = _own_config(config), RunFolder(config.output_dir).retrained(method)
    folder.check_test_folder()
    identity = Identity(splits.class_names, grouping.groups, dump(own))
    write_text(folder.config, identity.config)
    checkpoint = sha256(source.path)
    features = {
        split: split_features(config, splits, split, model, checkpoint, source.epoch, screen)
        for split in SPLITS
    }
    trained = model.get_submodule("fc").cpu()
    assert isinstance(trained, nn.Linear)
    log = RunLog(folder, screen=screen)
    work = Work(
        options=config.retrain,
        best_metric=config.train.best_metric,
        seed=config.rng_seed,
        class_names=splits.class_names,
        grouping=grouping,
        features=features,
        leave_out=config.test.on_bad_clip == "leave_out",
        trained=trained,
        mixer=_mixer(config, splits),
        log=log,
        screen=screen,
    )
    head, origin = METHODS[method](work)
    log.close()
    model.fc = head
    epochs = 0 if method in WITHOUT_EPOCHS else own.retrain.max_epoch
    origin = {"method": method, "checkpoint": str(source.path), **origin}
    save_model(folder, identity, model, epochs, origin)
    before, after = (score(work, one) for one in (trained, head))
    screen.print(
        f"{method}: validation {own.train.best_metric} {100 * after:.1f} %, "
        f"{100 * before:.1f} % with the classifier of {source.path}"
    )
    result = evaluate_head(head, features["test"], work.leave_out)
    return write_test(folder, own.test, splits, grouping, result, folder.best, epochs)


def _mixer(config: Config, splits: Splits) -> Mixer:
    """The reconstruction of ``lmr``, by the options of MIX where they are its own."""
    kind = MIXERS.get("lmr")
    options = config.mix.options if config.mix.name == "lmr" else kind.Options()
    counts = torch.from_numpy(splits.counts("train"))
    mixer: Mixer = kind(options, num_classes=len(counts), class_counts=counts)
    return mixer


def _own_config(config: Config) -> Config:
    """The options with which ``test`` tests the result."""
    return replace(
        config,
        output_dir=str(RunFolder(config.output_dir).retrained(config.retrain.method).path),
        model=replace(config.model, head="linear"),
        test=replace(config.test, checkpoint_file_path=""),
    )
