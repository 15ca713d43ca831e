"""Optimiser and learning rate from the options in SOLVER."""

from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
)
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from cdb_video.options import Solver


def make_optimizer(model: nn.Module, solver: Solver) -> Optimizer:
    """SGD or AdamW over all trainable parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if solver.optimizing_method == "adamw":
        return AdamW(parameters, solver.base_lr, weight_decay=solver.weight_decay)
    return SGD(
        parameters,
        solver.base_lr,
        momentum=solver.momentum,
        nesterov=solver.nesterov,
        weight_decay=solver.weight_decay,
    )


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
        if warmup:
            rise = LinearParamScheduler(solver.warmup_start_lr, main(warmup))
            self._schedule = CompositeParamScheduler(
                [rise, main], lengths=[warmup, 1 - warmup], interval_scaling=["rescaled", "fixed"]
            )

    def __call__(self, step: int) -> float:
        """The learning rate of optimiser step ``step``, in [0, num_steps)."""
        return float(self._schedule(step / self.num_steps))
