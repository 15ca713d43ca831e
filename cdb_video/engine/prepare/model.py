"""The network of a run: built, prepared to be tuned, shared among processes."""

from typing import Any

import torch
from torch import nn

from cdb_video import distributed
from cdb_video.engine.prepare.precision import set_precision
from cdb_video.errors import ConfigError
from cdb_video.models import Classifier, build_model
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages, learning_norms
from cdb_video.models.tuning.light import add_lora, train_additions_only
from cdb_video.models.tuning.stages import stage_units
from cdb_video.options import Config
from cdb_video.parts import Parts


def make_model(
    config: Config, num_classes: int, device: torch.device, parts: Parts = ()
) -> Classifier:
    """A fresh classifier on ``device``, the same for the same seed.

    Args:
        parts: of the classes, which get a head each.

    Raises:
        ConfigError: the network takes clips of other frames or another size than DATA gives.
    """
    torch.manual_seed(config.rng_seed)
    name = config.model.name
    model: Any = build_model(
        name,
        num_classes,
        dropout_rate=config.model.dropout_rate,
        head=config.model.head,
        head_scale=config.model.head_scale,
        adapter_dim=config.model.adapter_dim,
        parts=parts,
        **vars(config.model.options),
    )
    wanted, given = model.input_format[:2], (config.data.num_frames, config.data.crop_size)
    if model.fixed_input and wanted != given:
        raise ConfigError(
            f"DATA.NUM_FRAMES and DATA.CROP_SIZE must be {wanted} for MODEL.NAME {name} with its "
            f"options, got {given}"
        )
    if config.train.precision != "auto":
        set_precision(model, config.train.precision)
    prepared: Classifier = model.to(device).to(memory_format=torch.channels_last_3d)
    return prepared


def set_up_tuning(config: Config, model: Classifier) -> None:
    """Prepares ``model`` to be trained: what is frozen, and what is checkpointed.

    Raises:
        ConfigError: MODEL.FREEZE_STAGES is more than the backbone has.
    """
    options = config.model
    freeze_stages(model, options.freeze_stages)
    if options.lora_rank:
        torch.manual_seed(config.rng_seed)
        add_lora(model, options.lora_rank, options.lora_alpha, options.lora_targets)
    if options.lora_rank or options.adapter_dim:
        train_additions_only(model)
    if config.model.frozen_bn:
        freeze_norms(model)
    if config.model.act_checkpoint:
        checkpoint_stages(model)


def share_gradient(
    config: Config, model: Classifier, averaged: nn.Module, device: torch.device
) -> nn.Module:
    """``model`` as it trains among several processes, by the options in PARALLEL.

    Args:
        averaged: its average, or itself; sharded as it is.

    Raises:
        ConfigError: the model cannot be sharded.
    """
    options = config.parallel
    if not options.fully_shard:
        ddp = (options.static_graph, options.gradient_as_bucket_view, options.compress)
        return distributed.wrap(model, device, *ddp)
    for refused, reason in (
        (bool(learning_norms(model)), "without batch norm, or MODEL.FROZEN_BN true"),
        (model.precision == "fp16", "in TRAIN.PRECISION fp32, tf32 or bf16"),
    ):
        if refused:
            raise ConfigError(
                f"PARALLEL.FULLY_SHARD needs a network {reason}, got {config.model.name} in "
                f"{model.precision}"
            )
    if distributed.world_size() > 1:
        for network in dict.fromkeys((averaged, model)):
            distributed.shard(network, stage_units(network), device)
    return model
