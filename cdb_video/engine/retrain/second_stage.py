"""The second stage of decoupled training: the methods that make a classifier of kept features."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from cdb_video.engine.evaluate.evaluation import Evaluation
from cdb_video.engine.evaluate.features import Features
from cdb_video.engine.evaluate.scores import all_scores
from cdb_video.engine.prepare.optim import LearningRate, make_optimizer
from cdb_video.engine.record.log import RunLog
from cdb_video.errors import TrainingError
from cdb_video.metrics.groups import Grouping
from cdb_video.mixing.base import Mixer
from cdb_video.models.heads import (
    ScaledHead,
    capped,
    label_aware_targets,
    logit_adjusted,
    nearest_class_mean,
    tau_normalised,
)
from cdb_video.registry import SAMPLERS
from cdb_video.sections import Retrain, Solver

Made = tuple[nn.Linear, dict[str, Any]]
"""A classifier, and plain values that say how it came about."""


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
    mixer: Mixer
    """Of ``lmr``."""
    log: RunLog
    screen: Console


@torch.inference_mode()
def evaluate_head(head: nn.Module, split: Features, leave_out: bool = True) -> Evaluation:
    """What a classifier makes of a split's features: probabilities averaged over views."""
    scores = head(split.features).double().softmax(dim=-1).mean(dim=1)
    scores[~split.valid] = 0
    found = all_scores(scores, split.labels, split.valid)
    return Evaluation(found, split.labels, scores.shape[1], leave_out)


def _metrics(work: Work, result: Evaluation) -> dict[str, Any]:
    return result.metrics(work.class_names, work.grouping)


def score(work: Work, head: nn.Module) -> float:
    """TRAIN.BEST_METRIC on the validation split."""
    metrics = _metrics(work, evaluate_head(head, work.features["val"], work.leave_out))
    return float(metrics[work.best_metric])


def _crt(work: Work) -> Made:
    head = _fresh(work)
    fit(work, head)
    return head, {}


def _lmr(work: Work) -> Made:
    head = _fresh(work)
    fit(work, head, work.mixer)
    return head, {"contributions": work.mixer.get_buffer("contributions").tolist()}


def _los(work: Work) -> Made:
    head, delta = _fresh(work), work.options.over_smoothing
    num_classes = head.out_features

    def smooth(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        sure = nn.functional.one_hot(labels, num_classes).float()
        return features, (1 - delta) * sure + delta / num_classes

    fit(work, head, smooth)
    return head, {"over_smoothing": delta}


def _las(work: Work) -> Made:
    head, counts = ScaledHead(work.trained, learn_all=True), _counts(work)
    targets = label_aware_targets(counts, work.options.smoothing_head, work.options.smoothing_tail)
    fit(work, head, lambda features, labels: (features, targets[labels]))
    return head.folded(), {"scale": head.scale.tolist()}


def _lws(work: Work) -> Made:
    head = ScaledHead(work.trained)
    fit(work, head)
    return head.folded(), {"scale": head.scale.tolist()}


def _tau_norm(work: Work) -> Made:
    return _best_tau(work, lambda tau: tau_normalised(work.trained, tau))


def _logit_adjust(work: Work) -> Made:
    counts = _counts(work)
    return _best_tau(work, lambda tau: logit_adjusted(work.trained, counts, tau))


def _best_tau(work: Work, make: Callable[[float], nn.Linear]) -> Made:
    heads = {tau: make(tau) for tau in sorted(work.options.taus)}
    scores = {tau: score(work, head) for tau, head in heads.items()}
    best = max(scores, key=lambda tau: scores[tau])
    work.screen.print(f"tau {best:g}")
    return heads[best], {"tau": best, "scores": scores}


def _ncm(work: Work) -> Made:
    features, labels = work.features["train"].first_views
    num_classes, distance = work.trained.out_features, work.options.distance
    head = nearest_class_mean(features, labels, num_classes, distance)
    return head, {"distance": distance}


METHODS = {
    "crt": _crt,
    "lws": _lws,
    "tau_norm": _tau_norm,
    "ncm": _ncm,
    "logit_adjust": _logit_adjust,
    "las": _las,
    "los": _los,
    "lmr": _lmr,
}
WITHOUT_EPOCHS = ("tau_norm", "ncm", "logit_adjust")
"""Methods that do not train."""


def _fresh(work: Work) -> nn.Linear:
    torch.manual_seed(work.seed)
    return nn.Linear(work.trained.in_features, work.trained.out_features)


def _counts(work: Work) -> Tensor:
    """(K,) training clips of each class."""
    return torch.bincount(work.features["train"].labels, minlength=work.trained.out_features)


Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(features (B, F), labels (B,)) -> features, and labels or shares of classes (B, K)."""


def fit(work: Work, head: nn.Module, change: Change = lambda *batch: batch) -> None:
    """Trains ``head`` on the training features in class-balanced order, by cross entropy.

    Args:
        change: what becomes of each batch before it is classified.

    Raises:
        TrainingError: the loss is not finite.
    """
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
            inputs, target = change(features[chosen], labels[chosen])
            loss = nn.functional.cross_entropy(head(inputs), target)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"epoch {epoch}, step {step + 1}: the loss is {loss.item()}; "
                    f"RETRAIN.BASE_LR is {options.base_lr:g}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if options.max_norm:
                capped(head, options.max_norm)
            total += float(loss.detach()) * len(chosen)
            step += 1
        lr = optimizer.param_groups[0]["lr"]
        work.log.write("train_epoch", epoch, step, loss=total / len(order), lr=lr)
        result = evaluate_head(head, work.features["val"], work.leave_out)
        work.log.write("val", epoch, step, loss=result.loss, **_metrics(work, result))
