"""Decoupled training: another classifier on the frozen backbone of a trained checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from torch import nn

from cdb_video import distributed
from cdb_video.config import dump
from cdb_video.engine import parts
from cdb_video.engine.checkpoint import save_model
from cdb_video.engine.evaluate import Evaluation
from cdb_video.engine.features import Features, digest, split_features
from cdb_video.engine.files import replacing
from cdb_video.engine.log import RunLog, console
from cdb_video.engine.normalisation import with_normalisation
from cdb_video.engine.optim import LearningRate, make_optimizer
from cdb_video.engine.test import checkpoint_path, load_whole, write_test
from cdb_video.errors import ConfigError, TrainingError
from cdb_video.models.heads import ScaledHead, nearest_class_mean, tau_normalised
from cdb_video.options import Config
from cdb_video.registry import SAMPLERS
from cdb_video.sections import Solver

SPLITS = ("train", "val", "test")


class Stage2(NamedTuple):
    """What the methods work with."""

    config: Config
    """Of the stage: OUTPUT_DIR is that of the method."""
    clips: parts.Clips
    groups: list[str]
    """(K,) the name of each class's group."""
    features: dict[str, Features]
    """By split."""
    trained: nn.Linear
    """The classifier of the checkpoint."""
    log: RunLog
    screen: Console


def retrain(config: Config) -> dict[str, Any]:
    """Makes a classifier by STAGE2.METHOD, writes it to OUTPUT_DIR/<method> and tests it.

    The checkpoint is TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best. Features are computed once
    and kept in OUTPUT_DIR/features for all methods.

    Returns:
        ``metrics.json`` of the test.

    Raises:
        CdbVideoError: there is no checkpoint, it does not fit, or options or data are wrong.
    """
    device = parts.choose_device(config)
    with distributed.process_group(device):
        if distributed.world_size() > 1:
            raise ConfigError(
                "a classifier is retrained by one process, without torchrun, got "
                f"{distributed.world_size()} processes"
            )
        return _retrain(config, device)


def method_folder(config: Config) -> Path:
    """Where the retrained classifier goes."""
    return Path(config.output_dir) / config.stage2.method


def _retrain(config: Config, device: torch.device) -> dict[str, Any]:
    screen = console()
    if config.model.head == "cosine" and config.stage2.method in ("lws", "tau_norm"):
        raise ConfigError(
            f"STAGE2.METHOD must be crt or ncm for MODEL.HEAD cosine, got {config.stage2.method!r}"
        )
    source = checkpoint_path(config)
    clips = parts.read_clips(config, (), unread=SPLITS)
    groups = parts.class_groups(config, clips)
    model = parts.make_model(config, len(clips.class_names), device)
    load_whole(model, source, clips.class_names)
    config = with_normalisation(config, model, source, screen, strict=True)
    own = _own_config(config)
    try:
        with replacing(Path(own.output_dir) / "config.yaml") as path:
            path.write_text(dump(own), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"OUTPUT_DIR must be a folder to write in, got {config.output_dir}: {error.strerror}"
        ) from None
    checkpoint = digest(source)
    features = {
        split: split_features(config, clips, split, model, checkpoint, screen) for split in SPLITS
    }
    log = RunLog(Path(own.output_dir), 0)
    trained = model.get_submodule("fc").cpu()
    assert isinstance(trained, nn.Linear)
    stage = Stage2(own, clips, groups, features, trained, log, screen)
    head, origin = METHODS[own.stage2.method](stage)
    log.close()
    model.fc = head
    epochs = own.stage2.max_epoch if own.stage2.method in ("crt", "lws") else 0
    origin = {"method": own.stage2.method, "checkpoint": str(source), **origin}
    saved = save_model(own, clips.class_names, model, epochs, origin)
    before, after = (_score(stage, one) for one in (trained, head))
    screen.print(
        f"{own.stage2.method}: validation {own.train.best_metric} {100 * after:.1f} %, "
        f"{100 * before:.1f} % with the classifier of {source}"
    )
    return write_test(own, clips, groups, evaluate_head(head, features["test"]), saved, epochs)


def _own_config(config: Config) -> Config:
    """The options with which ``tools/test_net.py`` tests the result."""
    return replace(
        config,
        output_dir=str(method_folder(config)),
        model=replace(config.model, head="linear"),
        test=replace(config.test, checkpoint_file_path=""),
    )


@torch.inference_mode()
def evaluate_head(head: nn.Module, split: Features) -> Evaluation:
    """What a classifier makes of a split's features: probabilities averaged over views."""
    return Evaluation(head(split.features).double().softmax(dim=-1).mean(dim=1), split.labels)


def _metrics(stage: Stage2, result: Evaluation) -> dict[str, Any]:
    return result.metrics(stage.clips.class_names, stage.groups, stage.config.test.group_names)


def _score(stage: Stage2, head: nn.Module) -> float:
    """TRAIN.BEST_METRIC on the validation split."""
    metrics = _metrics(stage, evaluate_head(head, stage.features["val"]))
    return float(metrics[stage.config.train.best_metric])


def _crt(stage: Stage2) -> tuple[nn.Linear, dict[str, Any]]:
    torch.manual_seed(stage.config.rng_seed)
    head = nn.Linear(stage.trained.in_features, stage.trained.out_features)
    fit(stage, head)
    return head, {}


def _lws(stage: Stage2) -> tuple[nn.Linear, dict[str, Any]]:
    head = ScaledHead(stage.trained)
    fit(stage, head)
    return head.folded(), {"scale": head.scale.tolist()}


def _tau_norm(stage: Stage2) -> tuple[nn.Linear, dict[str, Any]]:
    heads = {tau: tau_normalised(stage.trained, tau) for tau in sorted(stage.config.stage2.taus)}
    scores = {tau: _score(stage, head) for tau, head in heads.items()}
    best = max(scores, key=lambda tau: scores[tau])
    stage.screen.print(f"tau {best:g}")
    return heads[best], {"tau": best, "scores": scores}


def _ncm(stage: Stage2) -> tuple[nn.Linear, dict[str, Any]]:
    train = stage.features["train"]
    num_classes, distance = stage.trained.out_features, stage.config.stage2.distance
    head = nearest_class_mean(train.features[:, 0], train.labels, num_classes, distance)
    return head, {"distance": distance}


METHODS = {"crt": _crt, "lws": _lws, "tau_norm": _tau_norm, "ncm": _ncm}


def fit(stage: Stage2, head: nn.Module) -> None:
    """Trains ``head`` on the training features in class-balanced order, by cross entropy."""
    options, train = stage.config.stage2, stage.features["train"]
    features, labels = train.features[:, 0], train.labels
    balanced = SAMPLERS.get("class_balanced")
    sampler = balanced(
        balanced.Options(),
        labels=labels.numpy(),
        num_classes=stage.trained.out_features,
        seed=stage.config.rng_seed,
    )
    solver = Solver(
        base_lr=options.base_lr,
        max_epoch=options.max_epoch,
        lr_policy="cosine",
        momentum=options.momentum,
        weight_decay=options.weight_decay,
    )
    optimizer = make_optimizer(head, solver)
    size = options.batch_size
    starts = range(0, len(sampler), size)
    learning_rate = LearningRate(solver, len(starts))
    step = 0
    for epoch in range(1, options.max_epoch + 1):
        order = torch.from_numpy(np.asarray(sampler.indices(epoch)))
        total = 0.0
        for start in starts:
            chosen = order[start : start + size]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step)
            loss = nn.functional.cross_entropy(head(features[chosen]), labels[chosen])
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"epoch {epoch}, step {step + 1}: the loss is {loss.item()}; "
                    f"STAGE2.BASE_LR is {options.base_lr:g}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach()) * len(chosen)
            step += 1
        lr = optimizer.param_groups[0]["lr"]
        stage.log.write("train_epoch", epoch, step, loss=total / len(order), lr=lr)
        result = evaluate_head(head, stage.features["val"])
        stage.log.write("val", epoch, step, loss=result.loss, **_metrics(stage, result))
