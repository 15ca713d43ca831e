"""Activation checkpointing: stages compute their activations twice, to save memory."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cdb_video.models.mixed import mixed
from cdb_video.models.tuning.freezing import BATCH_NORMS
from cdb_video.models.tuning.stages import stage_units


class Checkpointed(nn.Module):
    """Mixed into a module's class: in training it keeps its input only. The backward pass computes
    the rest again, with the same random numbers."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The output of the module."""
        compute = super().forward
        if not torch.is_grad_enabled():
            return compute(*inputs, **options)

        def compute_on_copies(*inputs: Any) -> Any:
            # Some networks replace the entries of a list of pathways in place.
            return compute(*(list(i) if isinstance(i, list) else i for i in inputs), **options)

        return checkpoint(
            compute_on_copies,
            *inputs,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _statistics_stay(self)),
        )


@contextmanager
def _statistics_stay(module: nn.Module) -> Iterator[None]:
    """Lets batch norms normalise as in training, without updating statistics twice."""
    norms = [norm for norm in module.modules() if isinstance(norm, BATCH_NORMS)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, num_batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches


def checkpoint_stages(model: nn.Module) -> None:
    """Checkpoints the stages of a backbone. A sequence of blocks is checkpointed block by block.

    A part without submodules, such as a convolution, is unchanged: it keeps little but its input.
    """
    for unit in stage_units(model):
        kind = type(unit)
        unit.__class__ = mixed(f"Checkpointed{kind.__name__}", Checkpointed, kind)
