"""Optimiser and learning rate from the options in SOLVER."""

from typing import Any

from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
)
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from cdb_video.errors import ConfigError
from cdb_video.models.tuning.stages import num_stages, stage_of
from cdb_video.sections import Solver

EMBEDDINGS = ("cls_token", "pos_embed", "position_embeddings", "time_embeddings")
"""What names of class tokens and position embeddings contain, in transformers and pytorchvideo."""


def make_optimizer(model: nn.Module, solver: Solver) -> Optimizer:
    """SGD or AdamW over all trainable parameters.

    Each parameter group has an ``lr_scale``, which multiplies the learning rate of the step.

    Raises:
        ConfigError: there is no trainable parameter.
    """
    groups = parameter_groups(model, solver)
    if not groups:
        raise ConfigError("the network must have parameters to train, got none that is not frozen")
    if solver.optimizing_method == "adamw":
        return AdamW(groups, solver.base_lr)
    return SGD(groups, solver.base_lr, momentum=solver.momentum, nesterov=solver.nesterov)


def parameter_groups(model: nn.Module, solver: Solver) -> list[dict[str, Any]]:
    """Groups the trainable parameters by learning rate and weight decay.

    The rate of a stage is ``layer_decay ** d`` times the classifier's, d stages after it.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = solver.layer_decay ** (num_stages(model) - stage_of(model, name))
            exempt = parameter.ndim <= 1 or any(word in name for word in EMBEDDINGS)
            decay = 0.0 if solver.zero_wd_1d_param and exempt else solver.weight_decay
            groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": members, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), members in groups.items()
    ]


class LearningRate:
    """The learning rate of each optimiser step, a pure function of the step's number.

    Args:
        solver: the options in SOLVER.
        steps_per_epoch: optimiser steps in an epoch, >= 1.
    """

    def __init__(self, solver: Solver, steps_per_epoch: int) -> None:
        self.num_steps = solver.max_epoch * steps_per_epoch
        main: ParamScheduler
        if solver.lr_policy == "cosine":
            main = CosineParamScheduler(solver.base_lr, solver.cosine_end_lr)
        else:
            starts = [round(epoch * steps_per_epoch) for epoch in solver.steps]
            reached = [start for start in starts if start < self.num_steps]
            main = MultiStepParamScheduler(
                [solver.base_lr * factor for factor in solver.lrs[: len(reached)]],
                num_updates=self.num_steps,
                milestones=reached[1:],
            )
        warmup = solver.warmup_epochs / solver.max_epoch
        self._schedule = main
        if warmup == 1:  # a very short run: it ends within the warm-up
            self._schedule = LinearParamScheduler(solver.warmup_start_lr, main(0))
        elif warmup:
            rise = LinearParamScheduler(solver.warmup_start_lr, main(warmup))
            self._schedule = CompositeParamScheduler(
                [rise, main], lengths=[warmup, 1 - warmup], interval_scaling=["rescaled", "fixed"]
            )

    def __call__(self, step: int) -> float:
        """The learning rate of optimiser step ``step``, in [0, num_steps)."""
        return float(self._schedule(step / self.num_steps))
