"""Decoupled training: another classifier on the frozen backbone of a trained checkpoint."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from torch import nn

from cdb_video import distributed
from cdb_video.config import dump
from cdb_video.engine import build
from cdb_video.engine.checkpoint import Identity, save_model
from cdb_video.engine.collect import all_scores
from cdb_video.engine.evaluate import Evaluation
from cdb_video.engine.features import Features, split_features
from cdb_video.engine.grouping import class_groups
from cdb_video.engine.log import RunLog, console
from cdb_video.engine.normalisation import set_normalisation
from cdb_video.engine.optim import LearningRate, make_optimizer
from cdb_video.engine.precision import compute_as_trained
from cdb_video.engine.test import tested_checkpoint, write_test
from cdb_video.errors import ConfigError, TrainingError
from cdb_video.files import sha256, write_text
from cdb_video.metrics.groups import Grouping
from cdb_video.models.heads import ScaledHead, nearest_class_mean, tau_normalised
from cdb_video.options import Config
from cdb_video.registry import SAMPLERS
from cdb_video.run_folder import RunFolder
from cdb_video.sections import Retrain, Solver

SPLITS = ("train", "val", "test")


class Work(NamedTuple):
    """What the methods work with."""

    options: Retrain
    best_metric: str
    seed: int
    class_names: list[str]
    grouping: Grouping
    features: dict[str, Features]
    """By split."""
    leave_out: bool
    """Whether bad clips do not count."""
    trained: nn.Linear
    """The classifier of the checkpoint."""
    log: RunLog
    screen: Console


def retrain(config: Config) -> dict[str, Any]:
    """Makes a classifier by RETRAIN.METHOD, writes it to OUTPUT_DIR/<method> and tests it.

    The checkpoint is TEST.CHECKPOINT_FILE_PATH, or OUTPUT_DIR's best. Features are computed once
    and kept in OUTPUT_DIR/features for all methods.

    Returns:
        ``metrics.json`` of the test.

    Raises:
        CdbVideoError: there is no checkpoint, it does not fit, or options or data are wrong.
    """
    device = build.choose_device(config)
    with distributed.process_group(device), RunFolder(config.output_dir).locked("retrain"):
        if distributed.world_size() > 1:
            raise ConfigError(
                "a classifier is retrained by one process, without torchrun, got "
                f"{distributed.world_size()} processes"
            )
        return _retrain(config, device)


def _retrain(config: Config, device: torch.device) -> dict[str, Any]:
    screen, method = console(), config.retrain.method
    if config.model.head == "cosine" and method in ("lws", "tau_norm"):
        raise ConfigError(
            f"RETRAIN.METHOD must be crt or ncm for MODEL.HEAD cosine, got {method!r}"
        )
    source = tested_checkpoint(config)
    splits = build.read_splits(config, *SPLITS)
    grouping = class_groups(config, splits)
    source.check_classes(splits.class_names)
    model = build.make_model(config, len(splits.class_names), device)
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
    log = RunLog(folder)
    work = Work(
        options=config.retrain,
        best_metric=config.train.best_metric,
        seed=config.rng_seed,
        class_names=splits.class_names,
        grouping=grouping,
        features=features,
        leave_out=config.test.on_bad_clip == "leave_out",
        trained=trained,
        log=log,
        screen=screen,
    )
    head, origin = METHODS[method](work)
    log.close()
    model.fc = head
    epochs = own.retrain.max_epoch if method in ("crt", "lws") else 0
    origin = {"method": method, "checkpoint": str(source.path), **origin}
    save_model(folder, identity, model, epochs, origin)
    before, after = (_score(work, one) for one in (trained, head))
    screen.print(
        f"{method}: validation {own.train.best_metric} {100 * after:.1f} %, "
        f"{100 * before:.1f} % with the classifier of {source.path}"
    )
    result = evaluate_head(head, features["test"], work.leave_out)
    return write_test(folder, own.test, splits, grouping, result, folder.best, epochs)


def _own_config(config: Config) -> Config:
    """The options with which ``test`` tests the result."""
    return replace(
        config,
        output_dir=str(RunFolder(config.output_dir).retrained(config.retrain.method).path),
        model=replace(config.model, head="linear"),
        test=replace(config.test, checkpoint_file_path=""),
    )


@torch.inference_mode()
def evaluate_head(head: nn.Module, split: Features, leave_out: bool = True) -> Evaluation:
    """What a classifier makes of a split's features: probabilities averaged over views."""
    scores = head(split.features).double().softmax(dim=-1).mean(dim=1)
    scores[~split.valid] = 0
    found = all_scores(scores, split.labels, split.valid)
    return Evaluation(found, split.labels, scores.shape[1], leave_out)


def _metrics(work: Work, result: Evaluation) -> dict[str, Any]:
    return result.metrics(work.class_names, work.grouping)


def _score(work: Work, head: nn.Module) -> float:
    """TRAIN.BEST_METRIC on the validation split."""
    metrics = _metrics(work, evaluate_head(head, work.features["val"], work.leave_out))
    return float(metrics[work.best_metric])


def _crt(work: Work) -> tuple[nn.Linear, dict[str, Any]]:
    torch.manual_seed(work.seed)
    head = nn.Linear(work.trained.in_features, work.trained.out_features)
    fit(work, head)
    return head, {}


def _lws(work: Work) -> tuple[nn.Linear, dict[str, Any]]:
    head = ScaledHead(work.trained)
    fit(work, head)
    return head.folded(), {"scale": head.scale.tolist()}


def _tau_norm(work: Work) -> tuple[nn.Linear, dict[str, Any]]:
    heads = {tau: tau_normalised(work.trained, tau) for tau in sorted(work.options.taus)}
    scores = {tau: _score(work, head) for tau, head in heads.items()}
    best = max(scores, key=lambda tau: scores[tau])
    work.screen.print(f"tau {best:g}")
    return heads[best], {"tau": best, "scores": scores}


def _ncm(work: Work) -> tuple[nn.Linear, dict[str, Any]]:
    features, labels = work.features["train"].first_views
    num_classes, distance = work.trained.out_features, work.options.distance
    head = nearest_class_mean(features, labels, num_classes, distance)
    return head, {"distance": distance}


METHODS = {"crt": _crt, "lws": _lws, "tau_norm": _tau_norm, "ncm": _ncm}


def fit(work: Work, head: nn.Module) -> None:
    """Trains ``head`` on the training features in class-balanced order, by cross entropy."""
    options = work.options
    features, labels = work.features["train"].first_views
    balanced = SAMPLERS.get("class_balanced")
    sampler = balanced(
        balanced.Options(),
        labels=labels.numpy(),
        num_classes=work.trained.out_features,
        seed=work.seed,
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
                    f"RETRAIN.BASE_LR is {options.base_lr:g}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach()) * len(chosen)
            step += 1
        lr = optimizer.param_groups[0]["lr"]
        work.log.write("train_epoch", epoch, step, loss=total / len(order), lr=lr)
        result = evaluate_head(head, work.features["val"], work.leave_out)
        work.log.write("val", epoch, step, loss=result.loss, **_metrics(work, result))
