"""The options of optimiser and learning rate: the section SOLVER."""

import dataclasses
from typing import Literal

from cdb_video.option_types import (
    FractionBelowOne,
    NonNegativeFloat,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
)

dataclass = dataclasses.dataclass(frozen=True, kw_only=True)


@dataclass
class Solver:
    """Optimiser and learning rate."""

    optimizing_method: Literal["sgd", "adamw"] = "sgd"
    """Optimiser."""
    base_lr: PositiveFloat = 1e-3
    """Learning rate after warm-up, for the whole BATCH_SIZE; never rescaled."""
    max_epoch: PositiveInt = 100
    """Epochs to train."""
    lr_policy: Literal["cosine", "steps_with_relative_lrs"] = "steps_with_relative_lrs"
    """'cosine' falls from BASE_LR to COSINE_END_LR along half a cosine; the other takes
    BASE_LR * LRS[i] from epoch STEPS[i] on."""
    cosine_end_lr: NonNegativeFloat = 0.0
    """Learning rate at the end of 'cosine'."""
    steps: tuple[NonNegativeFloat, ...] = (0, 60)
    """Epochs at which each of LRS begins, ascending from 0."""
    lrs: tuple[PositiveFloat, ...] = (1.0, 0.1)
    """Factors on BASE_LR, as many as STEPS."""
    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs over which the learning rate rises linearly from WARMUP_START_LR."""
    warmup_start_lr: NonNegativeFloat = 0.0
    """Learning rate of the first step, if there is a warm-up."""
    momentum: FractionBelowOne = 0.0
    """Momentum of SGD, in [0, 1)."""
    nesterov: bool = False
    """Nesterov momentum of SGD."""
    weight_decay: NonNegativeFloat = 5e-4
    """L2 penalty of SGD, decoupled weight decay of AdamW."""
    zero_wd_1d_param: bool = False
    """No weight decay on norms, biases, class tokens and position embeddings."""
    layer_decay: PositiveFraction = 1.0
    """Layer-wise learning-rate decay, in (0, 1]: the backbone's last stage learns at this multiple
    of the classifier's rate, the stage before it at its square, and so on; 1 is off."""
    clip_grad_l2norm: NonNegativeFloat = 0.0
    """Longest gradient, as an L2 norm over all parameters; 0 does not clip."""
    accumulation_steps: PositiveInt = 1
    """Parts into which each BATCH_SIZE is split to fit in memory; the step sees their mean."""

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.lrs) or list(self.steps[:1]) != [0]:
            raise ValueError(
                f"STEPS must start at 0 and be as many as LRS, got {self.steps}, {self.lrs}"
            )
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"STEPS must ascend, got {self.steps}")
        if self.warmup_epochs >= self.max_epoch:
            raise ValueError(
                f"WARMUP_EPOCHS must be below MAX_EPOCH {self.max_epoch}, got {self.warmup_epochs}"
            )
        if self.nesterov and not self.momentum:
            raise ValueError("NESTEROV needs MOMENTUM > 0, got 0")
