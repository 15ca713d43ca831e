"""Builds the parts of a run from its options: device, data, model, loss."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cdb_video import distributed
from cdb_video.data.batch import Batch, BatchLoader, Record
from cdb_video.data.datasets.base import LabelledClips, class_counts
from cdb_video.data.image_loader import ImageLoader, Images
from cdb_video.data.loader import Share, eval_loader, train_loader
from cdb_video.data.samplers.base import Sampler
from cdb_video.errors import ConfigError
from cdb_video.losses.base import Loss
from cdb_video.metrics import group_classes
from cdb_video.models import build_model
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages
from cdb_video.options import Config
from cdb_video.registry import DATASETS, LOSSES, SAMPLERS


def choose_device(config: Config) -> torch.device:
    """The device of this process: CUDA device LOCAL_RANK, or the CPU."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("DEVICE must be auto or cpu where there is no CUDA device, got 'cuda'")
    if config.device == "cpu" or not torch.cuda.is_available():
        # oneDNN reads uninitialised memory in bfloat16 3D convolutions of few frames (torch 2.13).
        torch.backends.mkldnn.set_flags(  # type: ignore[no-untyped-call]
            not config.train.mixed_precision
        )
        return torch.device("cpu")
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device


@dataclass(frozen=True)
class Clips:
    """A dataset with the records of the splits that a run needs."""

    dataset: LabelledClips
    records: dict[str, list[Record]]
    _images: dict[str, Images | None] = field(default_factory=dict, init=False, repr=False)

    @property
    def class_names(self) -> list[str]:
        """(K,) names, by label."""
        return self.dataset.class_names

    def counts(self, split: str) -> npt.NDArray[np.int64]:
        """(K,) clips of each class in a split, or in several joined by '+'."""
        records = [record for name in split.split("+") for record in self.records[name]]
        return class_counts(records, len(self.class_names))

    def images(self, split: str) -> Images | None:
        """What the dataset's ``images`` says, read once."""
        if split not in self._images:
            self._images[split] = self.dataset.images(split)
        return self._images[split]

    def check_files(self, *splits: str) -> None:
        """Raises ``DataError`` where images or clips of ``splits`` are missing."""
        in_files = [split for split in splits if self.images(split) is None]
        self.dataset.check_files([record for name in in_files for record in self.records[name]])


def read_clips(config: Config, splits: tuple[str, ...], unread: tuple[str, ...] = ()) -> Clips:
    """The records of ``splits``, whose files must exist, of those in ``unread``, and of those that
    make class sizes.

    Raises:
        DataError: a folder, an annotation file or a clip is missing, or a line is wrong.
    """
    dataset: LabelledClips = DATASETS.get(config.data.name)(config.data.options)
    counted = ("train", *config.test.group_counts.split("+"))
    wanted = dict.fromkeys((*splits, *unread, *counted))
    records = {split: dataset.records(split) for split in wanted}
    clips = Clips(dataset, records)
    clips.check_files(*splits)
    return clips


def make_sampler(config: Config, clips: Clips) -> Sampler:
    """The order of training clips."""
    kind = SAMPLERS.get(config.sampler.name)
    labels = np.array([record.label for record in clips.records["train"]])
    sampler: Sampler = kind(
        config.sampler.options,
        labels=labels,
        num_classes=len(clips.class_names),
        seed=config.rng_seed,
        num_epochs=config.solver.max_epoch,
    )
    return sampler


def make_train_loader(
    config: Config, clips: Clips, sampler: Sampler, device: torch.device
) -> BatchLoader:
    """Training batches of this process: one for each accumulation step."""
    parts = distributed.world_size() * config.solver.accumulation_steps
    if config.train.batch_size % parts:
        raise ConfigError(
            "TRAIN.BATCH_SIZE must be a multiple of the number of processes times "
            f"SOLVER.ACCUMULATION_STEPS, {parts}, got {config.train.batch_size}"
        )
    images = clips.images("train")
    common: dict[str, Any] = {
        "class_names": clips.class_names,
        "augmentation": config.aug,
        "size": config.data.crop_size,
        "seed": config.rng_seed,
        "batch_size": config.train.batch_size // parts,
        "share": _share(config),
    }
    if images is not None:
        return ImageLoader(
            images,
            clips.records["train"],
            sampler=sampler,
            device=device,
            num_frames=config.data.num_frames,
            **common,
        )
    return train_loader(
        clips.records["train"],
        sampler,
        sampling=config.data,
        decoder=config.data.decoder,
        **common,
    )


def make_eval_loader(
    config: Config,
    clips: Clips,
    split: str,
    device: torch.device,
    temporal_views: int = 1,
    spatial_crops: int = 1,
) -> BatchLoader:
    """This process's share of every view of a split's records."""
    images = clips.images(split)
    common: dict[str, Any] = {
        "size": config.data.crop_size,
        "batch_size": max(1, config.test.batch_size // distributed.world_size()),
        "temporal_views": temporal_views,
        "spatial_crops": spatial_crops,
        "share": _share(config),
    }
    if images is not None:
        return ImageLoader(
            images,
            clips.records[split],
            device=device,
            num_frames=config.data.num_frames,
            **common,
        )
    return eval_loader(
        clips.records[split], sampling=config.data, decoder=config.data.decoder, **common
    )


def _share(config: Config) -> Share:
    return Share(
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        num_workers=config.data_loader.num_workers,
        pin_memory=config.data_loader.pin_memory and torch.cuda.is_available(),
        timeout=config.data_loader.timeout,
    )


def make_model(config: Config, num_classes: int, device: torch.device) -> nn.Module:
    """A fresh classifier on ``device``, the same for the same seed.

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
        **vars(config.model.options),
    )
    wanted, given = model.input_format[:2], (config.data.num_frames, config.data.crop_size)
    if model.fixed_input and wanted != given:
        raise ConfigError(
            f"DATA.NUM_FRAMES and DATA.CROP_SIZE must be {wanted} for MODEL.NAME {name} with its "
            f"options, got {given}"
        )
    prepared: nn.Module = model.to(device).to(memory_format=torch.channels_last_3d)
    return prepared


def set_up_tuning(config: Config, model: nn.Module) -> None:
    """Prepares ``model`` to be trained: what is frozen, and what is checkpointed.

    Raises:
        ConfigError: MODEL.FREEZE_STAGES is more than the backbone has.
    """
    freeze_stages(model, config.model.freeze_stages)
    if config.model.frozen_bn:
        freeze_norms(model)
    if config.model.act_checkpoint:
        checkpoint_stages(model)


def make_loss(config: Config, clips: Clips, device: torch.device) -> Loss:
    """The loss, which knows how many training clips each class has."""
    kind = LOSSES.get(config.loss.name)
    loss: Loss = kind(
        config.loss.options,
        num_classes=len(clips.class_names),
        class_counts=torch.from_numpy(clips.counts("train")),
        defer_epochs=config.loss.defer_epochs,
    )
    return loss.to(device)


def check_validation(config: Config, loss: Loss, sampler: Sampler) -> None:
    """Raises ``ConfigError`` where a run without validation has a part that goes by it."""
    needing = [
        choice.name
        for choice, part in ((config.loss, loss), (config.sampler, sampler))
        if part.needs_validation
    ]
    if needing and not config.train.eval_period:
        raise ConfigError(
            f"TRAIN.EVAL_PERIOD must be >= 1, as {needing[0]} goes by validation recall, got 0"
        )


def class_groups(config: Config, clips: Clips) -> list[str]:
    """(K,) the name of each class's group, by the options in TEST."""
    test = config.test
    try:
        return group_classes(
            clips.counts(test.group_counts), test.group_thresholds, test.group_names
        )
    except ValueError as error:
        raise ConfigError(f"TEST.GROUP_THRESHOLDS, TEST.GROUP_NAMES: {error}") from None


def forward(model: nn.Module, batch: Batch, config: Config) -> torch.Tensor:
    """Logits (B, K) of a batch that is on the model's device."""
    with autocast(batch.video.device, config):
        logits: torch.Tensor = model(network_input(batch, config))
    return logits


def network_input(batch: Batch, config: Config) -> torch.Tensor:
    """Normalised clips (B, 3, T, H, W) float32 of a batch, in the layout of the network."""
    mean, std = config.data.mean, config.data.std
    assert mean != "auto", "with_normalisation comes first"
    assert std != "auto", "with_normalisation comes first"
    return batch.normalised(mean, std).contiguous(memory_format=torch.channels_last_3d)


def autocast(device: torch.device, config: Config) -> torch.autocast:
    """The context of TRAIN.MIXED_PRECISION, in which networks run."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.train.mixed_precision)
