"""Trains a classifier on stored features, in class-balanced order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cdb_video.config.types import FractionBelowOne, NonNegativeFloat, PositiveFloat, PositiveInt
from cdb_video.engine.prepare.optim import LearningRate, make_optimizer
from cdb_video.engine.retrain.work import Work
from cdb_video.errors import TrainingError
from cdb_video.models.heads import capped
from cdb_video.registry import SAMPLERS
from cdb_video.sections import Solver


@dataclass(frozen=True)
class FitOptions:
    """How a classifier is trained on features."""

    max_epoch: PositiveInt = 10
    """Epochs. Each draws as many features as there are training clips."""
    base_lr: PositiveFloat = 0.2
    """Learning rate at the first step. It falls to 0 along half a cosine."""
    batch_size: PositiveInt = 512
    """Features in an optimiser step."""
    momentum: FractionBelowOne = 0.9
    """Momentum of SGD, in [0, 1)."""
    weight_decay: NonNegativeFloat = 5e-4
    """L2 penalty of SGD."""


@dataclass(frozen=True)
class CappedFitOptions(FitOptions):
    """The same for a fresh classifier."""

    max_norm: NonNegativeFloat = 0.0
    """Longest weight vector of a class. Longer ones are shortened to it after each step
    (Alshammari et al., "Long-Tailed Recognition via Weight Balancing", CVPR 2022). 0 is no
    limit."""


Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(features (B, F), labels (B,)) -> features, and labels or shares of classes (B, K)."""


def fit_head(
    work: Work,
    options: FitOptions,
    head: nn.Module,
    change: Change = lambda *batch: batch,
    order_by: str = "class_balanced",
) -> None:
    """Trains ``head`` on the training features by cross entropy.

    Args:
        change: changes each batch before it is classified.
        order_by: the sampler.

    Raises:
        TrainingError: the loss is not finite.
    """
    features, labels = work.features["train"].first_views
    kind, num_classes = SAMPLERS.get(order_by), work.trained.out_features
    order_of = {"labels": labels.numpy(), "num_classes": num_classes, "seed": work.seed}
    sampler = kind(kind.Options(), **order_of)
    solver = Solver(
        base_lr=options.base_lr,
        max_epoch=options.max_epoch,
        lr_policy="cosine",
        momentum=options.momentum,
        weight_decay=options.weight_decay,
    )
    optimizer = make_optimizer(head, solver)
    size, longest = options.batch_size, getattr(options, "max_norm", 0.0)
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
                    f"epoch {epoch}, step {step + 1}: the loss is {loss.item()}; the BASE_LR of "
                    f"this METHOD of RETRAIN is {options.base_lr:g}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if longest:
                capped(head, longest)
            total += float(loss.detach()) * len(chosen)
            step += 1
        lr = optimizer.param_groups[0]["lr"]
        work.log.write("train_epoch", epoch, step, loss=total / len(order), lr=lr)
        if "val" in work.features:
            result = work.evaluate(head, "val")
            work.log.write("val", epoch, step, loss=result.loss, **work.metrics(result))
