"""The tree of all options, and ``load``: the only place that knows every section."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from cdb_video import config
from cdb_video.config import Selection
from cdb_video.data.clips import ClipSampling
from cdb_video.data.transforms import Augmentation
from cdb_video.errors import ConfigError
from cdb_video.option_types import (
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    coerce,
)
from cdb_video.registry import BACKBONES, DATASETS, LOSSES, SAMPLERS, Registry, import_modules

dataclass = dataclasses.dataclass(frozen=True, kw_only=True)


@dataclass
class Train:
    """How a training run goes."""

    batch_size: PositiveInt = 16
    """Clips in one optimiser step, over all processes and accumulation steps."""
    eval_period: PositiveInt = 1
    """Epochs from one validation to the next; the last epoch is always validated."""
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
    """Run the network under bfloat16 autocast; the loss stays in float32."""


@dataclass
class Test:
    """How validation and test go."""

    batch_size: PositiveInt = 32
    """Views in one forward pass of validation or test, over all processes."""
    checkpoint_file_path: str = ""
    """Checkpoint to test; empty means OUTPUT_DIR's best.pt."""
    num_ensemble_views: PositiveInt = 1
    """Temporal views of each test clip, whose class probabilities are averaged. Validation always
    takes one view."""
    num_spatial_crops: Literal[1, 3] = 1
    """Spatial views: 1 is the centre crop, 3 are three crops along the longer side."""
    group_thresholds: tuple[NonNegativeInt, ...] | Literal["mean"] = "mean"
    """Class sizes, ascending, that part the classes into groups: a class is above a threshold if
    it has more clips. 'mean' is one threshold at the mean class size."""
    group_names: tuple[str, ...] = ("minority", "majority")
    """Names of the groups, smallest classes first; one more than there are thresholds."""
    group_counts: Literal["train", "train+val"] = "train"
    """Splits whose clips make a class's size."""


@dataclass
class Data(ClipSampling, Selection):
    """Which clips, and how they are read."""

    registry: ClassVar[Registry] = DATASETS

    name: str
    """Dataset; its own options stand in the section of its name."""
    options: Any
    decoder: Literal["pyav", "decord"] = "pyav"
    """Library that decodes video files."""
    crop_size: PositiveInt = 224
    """Height and width of the network's input, in pixels."""
    mean: tuple[float, float, float] = (114.7748, 107.7354, 99.4750)
    """Subtracted from red, green and blue in [0, 255]; the default is that of the public Kinetics
    checkpoints of 3D ResNets (ActivityNet mean)."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    """What red, green and blue in [0, 255] are divided by after the mean is subtracted."""


@dataclass
class Model(Selection):
    """Which network."""

    registry: ClassVar[Registry] = BACKBONES

    name: str = "resnext3d"
    """Backbone; its own options stand in the section of its name."""
    options: Any
    pretrained: str = ""
    """Weight file to start from (.pth, .pt or .safetensors); empty starts from scratch."""
    dropout_rate: FractionBelowOne = 0.0
    """Share of features dropped before the classifier in training, in [0, 1)."""


@dataclass
class LossChoice(Selection):
    """Which loss."""

    registry: ClassVar[Registry] = LOSSES

    name: str = "cross_entropy"
    """Loss; its own options stand in the section of its name."""
    options: Any
    defer_epochs: NonNegativeInt = 0
    """First epochs in which all class weights are 1, whatever the loss (deferred re-weighting, Cao
    et al., NeurIPS 2019). Without effect on a loss without class weights."""


@dataclass
class SamplerChoice(Selection):
    """In which order training clips are seen."""

    registry: ClassVar[Registry] = SAMPLERS

    name: str = "shuffle"
    """Sampler; its own options stand in the section of its name."""
    options: Any


@dataclass
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


@dataclass
class Stage2:
    """How ``tools/retrain_classifier.py`` makes another classifier on the frozen backbone (Kang et
    al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020)."""

    method: Literal["crt", "lws", "tau_norm", "ncm"] = "crt"
    """'crt' trains a fresh classifier on class-balanced samples; 'lws' so trains one scale for each
    class of the trained classifier; 'tau_norm' divides its weights by their length to the power of
    tau; 'ncm' takes the nearest class mean."""
    max_epoch: PositiveInt = 10
    """Epochs of 'crt' and 'lws'; each draws as many features as there are training clips."""
    base_lr: PositiveFloat = 0.2
    """Learning rate of 'crt' and 'lws' at the first step; it falls to 0 along half a cosine."""
    batch_size: PositiveInt = 512
    """Features in one optimiser step of 'crt' and 'lws'."""
    momentum: FractionBelowOne = 0.9
    """Momentum of their SGD, in [0, 1)."""
    weight_decay: NonNegativeFloat = 5e-4
    """L2 penalty of their SGD."""
    taus: tuple[NonNegativeFloat, ...] = tuple(step / 10 for step in range(21))
    """Choices for tau of 'tau_norm'; the best by TRAIN.BEST_METRIC on the validation split, the
    smallest where several are equal."""
    distance: Literal["cosine", "euclidean"] = "cosine"
    """What 'ncm' measures between a feature and the class means."""

    def __post_init__(self) -> None:
        if not self.taus:
            raise ValueError("TAUS must hold at least one number, got none")


@dataclass
class DataLoader:
    """Worker processes that decode."""

    num_workers: NonNegativeInt = 2
    """Decoding processes of each training process; 0 decodes in the training process itself."""
    pin_memory: bool = True
    """Page-locked batches for faster copies to a GPU; without effect on a CPU."""
    timeout: NonNegativeFloat = 300.0
    """Seconds to wait for a batch before the run stops with an error; 0 waits forever."""


@dataclass
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
