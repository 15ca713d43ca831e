"""The tree of all options, and ``load``: the only place that knows every section."""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from cdb_video import config
from cdb_video.config import Selection
from cdb_video.data.clips import ClipSampling
from cdb_video.data.transforms import Augmentation
from cdb_video.errors import ConfigError
from cdb_video.models.normalisation import InputNormalisation
from cdb_video.models.weight_fit import Pretrained
from cdb_video.option_types import (
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    coerce,
)
from cdb_video.registry import BACKBONES, DATASETS, LOSSES, SAMPLERS, Registry
from cdb_video.sections import DataLoader, Stage2, Test


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a training run goes."""

    batch_size: PositiveInt = 16
    """Clips in one optimiser step, over all processes and accumulation steps."""
    eval_period: NonNegativeInt = 1
    """Epochs between validations; the last is always validated. 0: never, best.pt is the newest."""
    checkpoint_period: PositiveInt = 1
    """Epochs from one checkpoint to the next; the last epoch is always kept."""
    keep_checkpoints: NonNegativeInt = 0
    """Newest epoch checkpoints to keep; 0 keeps all. best.pt and latest.pt always stay."""
    auto_resume: bool = True
    """Go on from OUTPUT_DIR's newest checkpoint, if there is one. false starts anew and deletes
    the earlier run in OUTPUT_DIR."""
    best_metric: Literal["mean_class_recall", "mean_class_precision", "mean_class_f1", "top1"] = (
        "mean_class_recall"
    )
    """Validation number whose highest value makes best.pt."""
    mixed_precision: bool = False
    """Run the network under bfloat16 autocast; the loss stays in float32. Slow on a CPU."""


@dataclass(frozen=True, kw_only=True)
class Data(InputNormalisation, ClipSampling, Selection):
    """Which clips, and how they are read."""

    registry: ClassVar[Registry] = DATASETS

    name: str
    """Dataset; its own options stand in the section of its name."""
    options: Any
    decoder: Literal["pyav", "decord"] = "pyav"
    """Library that decodes video files."""
    crop_size: PositiveInt = 224
    """Height and width of the network's input, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Model(Pretrained, Selection):
    """Which network."""

    registry: ClassVar[Registry] = BACKBONES

    name: str = "resnext3d"
    """Backbone; its own options stand in the section of its name."""
    options: Any
    dropout_rate: FractionBelowOne = 0.0
    """Share of features dropped before the classifier in training, in [0, 1)."""
    head: Literal["linear", "cosine"] = "linear"
    """Classifier: 'cosine' gives cosines between features and class weights, for LOSS.NAME ldam."""


@dataclass(frozen=True, kw_only=True)
class LossChoice(Selection):
    """Which loss."""

    registry: ClassVar[Registry] = LOSSES

    name: str = "cross_entropy"
    """Loss; its own options stand in the section of its name."""
    options: Any
    defer_epochs: NonNegativeInt = 0
    """First epochs in which all class weights are 1, whatever the loss (deferred re-weighting, Cao
    et al., NeurIPS 2019). Without effect on a loss without class weights."""


@dataclass(frozen=True, kw_only=True)
class SamplerChoice(Selection):
    """In which order training clips are seen."""

    registry: ClassVar[Registry] = SAMPLERS

    name: str = "shuffle"
    """Sampler; its own options stand in the section of its name."""
    options: Any


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Config:
    """All options of a run."""

    train: Train
    test: Test
    data: Data
    aug: Augmentation
    model: Model
    loss: LossChoice
    sampler: SamplerChoice
    solver: Solver
    stage2: Stage2
    data_loader: DataLoader
    output_dir: str = "output"
    """Folder for everything that a run leaves behind; made if absent."""
    rng_seed: NonNegativeInt = 0
    """Seed of every random choice."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; 'auto' is CUDA if there is a device."""
    log_period: PositiveInt = 10
    """Optimiser steps from one train_step line of log.jsonl to the next."""
    imports: tuple[str, ...] = ()
    """Modules to import first, such as one of yours that registers a backbone."""


RENAMED = {
    "MODEL.LOSS_FUNC": "LOSS.NAME",
    "MODEL.MODEL_NAME": "MODEL.NAME",
    "MODEL.ARCH": "MODEL.NAME",
    "MODEL.NUM_CLASSES": "nothing: the dataset knows its classes",
    "TRAIN.DATASET": "DATA.NAME",
    "TEST.DATASET": "DATA.NAME",
    "TRAIN.CHECKPOINT_FILE_PATH": "MODEL.PRETRAINED",
    "DATA.TRAIN_CROP_SIZE": "DATA.CROP_SIZE",
    "DATA.TEST_CROP_SIZE": "DATA.CROP_SIZE",
    "DATA.DECODING_BACKEND": "DATA.DECODER",
    "DATA.RANDOM_FLIP": "AUG.FLIP",
    "DATA.PATH_TO_DATA_DIR": "DATA.<DATASET>.ROOT",
    "DATA.PATH_PREFIX": "DATA.<DATASET>.ROOT",
    "NUM_GPUS": "torchrun --nproc_per_node N",
    "NUM_SHARDS": "torchrun --nnodes N",
    "SHARD_ID": "torchrun --node_rank N",
}
"""Key of PySlowFast -> what to write here."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The options in a YAML file, with ``KEY VALUE ...`` on top. Imports the modules in IMPORTS.

    Raises:
        ConfigError: one line that names the key, what is allowed and what was given.
    """
    tree = config.merge(config.read_yaml(Path(path)), config.parse_overrides(overrides))
    _import(coerce(tree.get("IMPORTS", ()), tuple[str, ...], "IMPORTS"))
    try:
        return config.from_node(Config, tree)
    except config.UnknownKeyError as error:
        raise ConfigError(f"{error}{_what_was_meant(error.key)}") from None


def _import(modules: Sequence[str]) -> None:
    if modules and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a script finds its own folder only, not the user's
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(f"IMPORTS: cannot import {module!r}: {error}") from None


def _what_was_meant(key: str) -> str:
    if key in RENAMED:
        return f"; here it is {RENAMED[key]}"
    near = config.nearest_key(Config, key)
    return f"; did you mean {near}?" if near else ""
