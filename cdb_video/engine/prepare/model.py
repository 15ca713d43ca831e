"""The network of a run: new, or of a checkpoint; prepared to be tuned, shared among processes."""

import torch
from rich.console import Console
from torch import nn

from cdb_video import distributed
from cdb_video.engine.prepare.normalisation import set_normalisation
from cdb_video.errors import ConfigError
from cdb_video.models import Architecture, Checkpoint, Classifier, build
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages, learning_norms
from cdb_video.models.tuning.light import add_lora, train_additions_only
from cdb_video.models.tuning.stages import stage_units
from cdb_video.options import Config, Model
from cdb_video.outputs import Outputs
from cdb_video.sections import Parallel


def new_model(config: Config, outputs: Outputs, device: torch.device) -> Classifier:
    """A fresh classifier on ``device``, the same for the same seed.

    Raises:
        ConfigError: the network takes clips of other frames or another size than DATA gives.
    """
    torch.manual_seed(config.rng_seed)
    model = build(Architecture.of(config.model), outputs)
    check_input(config, model)
    if config.train.precision != "auto":
        model.set_precision(config.train.precision)
    prepared: Classifier = model.to(device).to(memory_format=torch.channels_last_3d)
    return prepared


def open_model(
    config: Config, source: Checkpoint, outputs: Outputs, device: torch.device, screen: Console
) -> Classifier:
    """The model of ``source``, on ``device`` and as ``config`` describes it.

    Raises:
        CheckpointError: the checkpoint does not fit, or its clips were normalised otherwise.
        ConfigError: as ``new_model``.
    """
    wanted = config.train.precision
    precision = "" if wanted == "auto" else wanted
    model = source.open(device, Architecture.of(config.model), outputs, precision)
    check_input(config, model)
    set_normalisation(model, config.data, source, screen, strict=True)
    return model


def check_input(config: Config, model: Classifier) -> None:
    """Raises ``ConfigError`` where a network takes other clips than DATA gives."""
    wanted, given = model.input_format[:2], (config.data.num_frames, config.data.crop_size)
    if model.fixed_input and wanted != given:
        raise ConfigError(
            f"DATA.NUM_FRAMES and DATA.CROP_SIZE must be {wanted} for MODEL.NAME "
            f"{model.architecture.name} with its options, got {given}"
        )


def set_up_tuning(options: Model, seed: int, model: Classifier) -> None:
    """Prepares ``model`` to be trained: what is added, what is frozen, what is checkpointed.

    Raises:
        ConfigError: MODEL.FREEZE_STAGES is more than the backbone has.
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
        averaged: its average, or itself; sharded as it is.

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
