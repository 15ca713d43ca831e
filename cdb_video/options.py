"""The tree of all options, and ``load``: the only place that knows every section."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from cdb_video import config
from cdb_video.config import Selection
from cdb_video.data.clips import ClipSampling
from cdb_video.data.transforms import Augmentation
from cdb_video.errors import ConfigError
from cdb_video.models.weights.fit import Pretrained
from cdb_video.models.weights.normalisation import InputNormalisation
from cdb_video.option_types import (
    FractionBelowOne,
    NonNegativeInt,
    PositiveInt,
    coerce,
)
from cdb_video.registry import BACKBONES, DATASETS, LOSSES, SAMPLERS, Registry, import_modules
from cdb_video.sections import BatchNorm, DataLoader, Solver, Stage2, Test, Train


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
    freeze_stages: NonNegativeInt | Literal["all"] = 0
    """First stages of the backbone that are not trained, batch-norm statistics included; 'all'
    trains the classifier only."""
    frozen_bn: bool = False
    """Keep the scales, shifts and statistics of all batch-norm layers as they are."""
    act_checkpoint: bool = False
    """Activation checkpointing: compute each block of the backbone a second time for the gradient
    in place of keeping what is inside it in memory. The gradient is the same."""


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
class Config:
    """All options of a run."""

    train: Train
    test: Test
    data: Data
    aug: Augmentation
    model: Model
    bn: BatchNorm
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
    import_modules(coerce(tree.get("IMPORTS", ()), tuple[str, ...], "IMPORTS"))
    try:
        return config.from_node(Config, tree)
    except config.UnknownKeyError as error:
        raise ConfigError(f"{error}{_what_was_meant(error.key)}") from None


def _what_was_meant(key: str) -> str:
    if key in RENAMED:
        return f"; here it is {RENAMED[key]}"
    near = config.nearest_key(Config, key)
    return f"; did you mean {near}?" if near else ""
