"""The clips of a run: their lists, and loaders of batches."""

import os
import shutil
from pathlib import Path

import torch

from cdb_video import distributed
from cdb_video.data.batches.batch import BatchLoader
from cdb_video.data.batches.loaders import make_loader
from cdb_video.data.batches.loading import Loading, Share, Training
from cdb_video.data.lists.splits import Splits
from cdb_video.data.samplers.base import Sampler
from cdb_video.errors import ConfigError
from cdb_video.options import Config
from cdb_video.registry import DATASETS

SHARED = Path("/dev/shm")
PREFETCHED = 2
"""Batches that each worker of a DataLoader has ready."""


def check_output_dir(config: Config) -> None:
    """Raises ``ConfigError`` if the run folder would lie within the data."""
    root = getattr(config.data.options, "root", None)
    if root is not None and os.path.realpath(config.output_dir) == os.path.realpath(
        os.path.expanduser(root)
    ):
        raise ConfigError(
            f"OUTPUT_DIR must be another folder than the data's, got {config.output_dir} for both"
        )


def read_splits(config: Config, *names: str) -> Splits:
    """The records of the splits ``names``, and of those that give class sizes.

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
    return Splits(dataset, (*names, "train", *config.groups.counts.split("+")))


def tolerated(config: Config) -> float | None:
    """The share of a split's clips that may be bad; None if none may."""
    return config.data.max_bad_fraction if config.data.on_bad_clip == "replace" else None


def clips_a_pass(config: Config) -> int:
    """Clips in one forward pass of training in this process.

    Raises:
        ConfigError: TRAIN.BATCH_SIZE cannot be divided evenly.
    """
    parts = distributed.world_size() * config.solver.accumulation_steps
    if config.train.batch_size % parts:
        raise ConfigError(
            "TRAIN.BATCH_SIZE must be a multiple of the number of processes times "
            f"SOLVER.ACCUMULATION_STEPS, {parts}, got {config.train.batch_size}"
        )
    return config.train.batch_size // parts


def make_loaders(
    config: Config, splits: Splits, sampler: Sampler, device: torch.device
) -> tuple[BatchLoader, BatchLoader | None]:
    """This process's batches for training and, if there is validation, for it."""
    train = make_train_loader(config, splits, sampler, device)
    return train, make_eval_loader(
        config, splits, "val", device
    ) if config.train.eval_period else None


def make_train_loader(
    config: Config, splits: Splits, sampler: Sampler, device: torch.device
) -> BatchLoader:
    """This process's training batches: one for each accumulation step."""
    training = Training(
        sampler=sampler,
        augmentation=config.aug,
        class_names=splits.class_names,
        seed=config.rng_seed,
    )
    loading = make_loading(config, clips_a_pass(config), device)
    return make_loader(splits["train"], loading, training)


def make_eval_loader(
    config: Config,
    splits: Splits,
    split: str,
    device: torch.device,
    views: tuple[int, int] = (1, 1),
) -> BatchLoader:
    """This process's share of every view (temporal, spatial) of a split's records."""
    batch_size = max(1, config.test.batch_size // distributed.world_size())
    return make_loader(splits[split], make_loading(config, batch_size, device), views=views)


def shared_memory(config: Config) -> tuple[int, int] | None:
    """Bytes of shared memory that batches need, and bytes that are free; None if unknown."""
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
