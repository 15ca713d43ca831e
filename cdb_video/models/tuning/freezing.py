"""Freezes parts of a network while the rest is trained."""

from typing import Literal

from torch import nn

from cdb_video.errors import ConfigError
from cdb_video.models.mixed import mixed
from cdb_video.models.tuning.stages import num_stages, stage_of

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class FrozenNorm(nn.Module):
    """Mixed into a batch norm's class: its statistics stay, in training mode, too."""

    def train(self, mode: bool = True) -> "FrozenNorm":
        """Stays in evaluation mode, whatever ``mode``."""
        return super().train(False)


def freeze_stages(model: nn.Module, count: int | Literal["all"]) -> None:
    """Freezes the first ``count`` stages: their parameters and their batch-norm statistics.

    Raises:
        ConfigError: there are fewer stages.
    """
    stages = num_stages(model)
    if count == "all":
        count = stages
    if count > stages:
        raise ConfigError(
            f"MODEL.FREEZE_STAGES must be 'all' or in [0, {stages}], as the backbone has {stages} "
            f"{'stage' if stages == 1 else 'stages'}, got {count}"
        )
    for name, parameter in model.named_parameters():
        if stage_of(model, name) < count:
            parameter.requires_grad_(False)
    for name, module in model.named_modules():
        if isinstance(module, BATCH_NORMS) and stage_of(model, name) < count:
            _freeze_norm(module)


def freeze_norms(model: nn.Module) -> None:
    """Freezes every batch norm: its scale, its shift and its statistics."""
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            module.requires_grad_(False)
            _freeze_norm(module)


def _freeze_norm(norm: nn.Module) -> None:
    # Changing the class, not wrapping it, keeps the names of tensors.
    if not isinstance(norm, FrozenNorm):
        norm.__class__ = mixed(f"Frozen{type(norm).__name__}", FrozenNorm, type(norm))
    norm.eval()


def learning_norms(model: nn.Module) -> list[nn.BatchNorm3d]:
    """The batch norms whose statistics follow the training data, of any number of dimensions."""
    return [
        module  # type: ignore[misc]
        for module in model.modules()
        if isinstance(module, BATCH_NORMS)
        and not isinstance(module, FrozenNorm)
        and module.running_mean is not None
    ]
