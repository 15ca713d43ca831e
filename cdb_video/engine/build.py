"""Builds the parts of a run: here the options become values, and nowhere below."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cdb_video import distributed
from cdb_video.data.batch import BatchLoader
from cdb_video.data.loading import Loading, Share, Training
from cdb_video.data.samplers.base import Sampler
from cdb_video.data.splits import Splits
from cdb_video.engine.precision import set_precision
from cdb_video.errors import ConfigError
from cdb_video.freed_memory import keep_freed_memory
from cdb_video.models import Classifier, build_model
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages, learning_norms
from cdb_video.models.tuning.light import add_lora, train_additions_only
from cdb_video.models.tuning.stages import stage_units
from cdb_video.options import Config
from cdb_video.parts import Parts
from cdb_video.registry import DATASETS

SHARED = Path("/dev/shm")
PREFETCHED = 2
"""Batches that each worker of a DataLoader has ready."""


def choose_device(config: Config) -> torch.device:
    """The device of this process, as DEVICE says; on a CPU it keeps the memory that it frees."""
    device = device_named(config.device)
    keep_freed_memory(all_of_it=device.type == "cpu")
    return device


def device_named(name: str) -> torch.device:
    """CUDA device LOCAL_RANK, or the CPU; ``name`` is auto, cpu or cuda."""
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"DEVICE must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("DEVICE must be auto or cpu where there is no CUDA device, got 'cuda'")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device


def check_output_dir(config: Config) -> None:
    """Raises ``ConfigError`` where what a run leaves would lie among the data."""
    root = getattr(config.data.options, "root", None)
    if root is not None and os.path.realpath(config.output_dir) == os.path.realpath(
        os.path.expanduser(root)
    ):
        raise ConfigError(
            f"OUTPUT_DIR must be another folder than the data's, got {config.output_dir} for both"
        )


def read_splits(config: Config, *names: str) -> Splits:
    """The records of the splits ``names`` and of those that make class sizes.

    Raises:
        DataError: a folder or an annotation file is missing, or a line is wrong.
    """
    dataset = DATASETS.get(config.data.name)(config.data.options)
    needed = getattr(dataset, "image_fps", None)
    if needed not in (None, config.data.image_fps):
        raise ConfigError(
            f"DATA.IMAGE_FPS must be {needed:g} for {config.data.name} with these options, got "
            f"{config.data.image_fps:g}"
        )
    return Splits(dataset, (*names, "train", *config.test.group_counts.split("+")))


def tolerated(config: Config) -> float | None:
    """The share of a split's clips that may be bad; None where none may."""
    return config.data.max_bad_fraction if config.data.on_bad_clip == "replace" else None


def clips_a_pass(config: Config) -> int:
    """Clips in one forward pass of training in this process.

    Raises:
        ConfigError: TRAIN.BATCH_SIZE cannot be parted evenly.
    """
    parts = distributed.world_size() * config.solver.accumulation_steps
    if config.train.batch_size % parts:
        raise ConfigError(
            "TRAIN.BATCH_SIZE must be a multiple of the number of processes times "
            f"SOLVER.ACCUMULATION_STEPS, {parts}, got {config.train.batch_size}"
        )
    return config.train.batch_size // parts


def make_train_loader(
    config: Config, splits: Splits, sampler: Sampler, device: torch.device
) -> BatchLoader:
    """Training batches of this process: one for each accumulation step."""
    training = Training(
        sampler=sampler,
        augmentation=config.aug,
        class_names=splits.class_names,
        seed=config.rng_seed,
    )
    loading = make_loading(config, clips_a_pass(config), device)
    return splits["train"].loader(loading, training)


def make_eval_loader(
    config: Config,
    splits: Splits,
    split: str,
    device: torch.device,
    views: tuple[int, int] = (1, 1),
) -> BatchLoader:
    """This process's share of every view (temporal, spatial) of a split's records."""
    batch_size = max(1, config.test.batch_size // distributed.world_size())
    return splits[split].loader(make_loading(config, batch_size, device), views=views)


def shared_memory(config: Config) -> tuple[int, int] | None:
    """Bytes of shared memory that batches need, and that are free; None where that is not told."""
    workers = config.data_loader.num_workers
    if not SHARED.is_dir() or not workers:
        return None
    size = max(config.train.batch_size, config.test.batch_size)
    clip = 3 * config.data.num_frames * config.data.crop_size**2
    return PREFETCHED * workers * size * clip, shutil.disk_usage(SHARED).free


def make_loading(config: Config, batch_size: int, device: torch.device) -> Loading:
    share = Share(
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        num_workers=config.data_loader.num_workers,
        pin_memory=config.data_loader.pin_memory and torch.cuda.is_available(),
        timeout=config.data_loader.timeout,
        clip_timeout=config.data_loader.clip_timeout,
        clip_memory=config.data_loader.clip_memory_mb << 20,
    )
    return Loading(
        sampling=config.data,
        size=config.data.crop_size,
        batch_size=batch_size,
        decoding=config.data,
        tolerant=config.data.on_bad_clip == "replace",
        share=share,
        device=device,
    )


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
