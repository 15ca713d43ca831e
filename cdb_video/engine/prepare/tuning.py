"""Prepares a network for training: additions, freezing, activation checkpointing, processes."""

import torch
from torch import nn

from cdb_video import distributed
from cdb_video.errors import ConfigError
from cdb_video.models import Classifier
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages, learning_norms
from cdb_video.models.tuning.light import add_lora, train_additions_only
from cdb_video.models.tuning.stages import stage_units
from cdb_video.options import Model
from cdb_video.sections import Parallel


def set_up_tuning(options: Model, seed: int, model: Classifier) -> None:
    """Prepares ``model`` for training: LoRA, freezing and activation checkpointing.

    Raises:
        ConfigError: the backbone has fewer than MODEL.FREEZE_STAGES stages.
    """
    freeze_stages(model, options.freeze_stages)
    if options.lora_rank:
        torch.manual_seed(seed)
        add_lora(model, options.lora_rank, options.lora_alpha, options.lora_targets)
    if options.lora_rank or options.adapter_dim:
        train_additions_only(model)
    if options.frozen_bn:
        freeze_norms(model)
    if options.act_checkpoint:
        checkpoint_stages(model)


def share_gradient(
    options: Parallel, model: Classifier, averaged: nn.Module, device: torch.device
) -> nn.Module:
    """``model`` as it trains among several processes.

    Args:
        averaged: its average, or the model itself. It is sharded in the same way.

    Raises:
        ConfigError: the model cannot be sharded.
    """
    if not options.fully_shard:
        ddp = (options.static_graph, options.gradient_as_bucket_view, options.compress)
        return distributed.wrap(model, device, *ddp)
    for refused, reason in (
        (bool(learning_norms(model)), "without batch norm, or MODEL.FROZEN_BN true"),
        (model.precision == "fp16", "in TRAIN.PRECISION fp32, tf32 or bf16"),
    ):
        if refused:
            raise ConfigError(
                f"PARALLEL.FULLY_SHARD needs a network {reason}, got {model.architecture.name} in "
                f"{model.precision}"
            )
    if distributed.world_size() > 1:
        for network in dict.fromkeys((averaged, model)):
            distributed.shard(network, stage_units(network), device)
    return model
