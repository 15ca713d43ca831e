"""The tree of all options, and ``load``. Only this module knows every section."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from cdb_video.config.moved_keys import (
    OF_EACH,
    PYSLOWFAST,
    to_each_component,
    with_new_names,
    without_switches,
)
from cdb_video.config.tree import (
    Selection,
    UnknownKeyError,
    from_tree,
    merge,
    nearest_key,
    parse_overrides,
    read_yaml,
)
from cdb_video.config.types import (
    MAY_CHANGE,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    coerce,
    may_change,
)
from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.errors import ConfigError
from cdb_video.models.architecture import Architecture
from cdb_video.models.weights.fit import Pretrained
from cdb_video.models.weights.stated_normalisation import InputNormalisation
from cdb_video.registry import (
    DATASETS,
    LOSSES,
    MIXERS,
    SAMPLERS,
    Registry,
    import_modules,
)
from cdb_video.sections import BatchNorm, DataLoader, Groups, Parallel, Retrain, Solver, Test, Train


@dataclass(frozen=True, kw_only=True)
class Data(InputNormalisation, Decoding, ClipSampling, Selection):
    """The clips, and how they are read."""

    registry: ClassVar[Registry] = DATASETS

    name: str
    """Dataset. Its own options are in the section of its name."""
    options: Any
    crop_size: PositiveInt = 224
    """Height and width of the network's input, in pixels."""
    on_bad_clip: Literal["stop", "replace"] = may_change("replace")
    """What happens to a clip that is missing or cannot be decoded. 'stop' ends the run. 'replace'
    takes another clip of its class in training, and leaves it to TEST.ON_BAD_CLIP in validation and
    test. Either way OUTPUT_DIR/quarantine.jsonl names it."""
    max_bad_fraction: Fraction = may_change(0.01)
    """Share of a split's clips that may be bad before the run stops. One clip always may be."""


@dataclass(frozen=True, kw_only=True)
class Model(Pretrained, Architecture):
    """The network, its initial weights, and its trained part."""

    head_init: Literal["random", "class_means"] = "random"
    """How the classifier starts. 'class_means' takes the mean feature of each class's training
    clips under the weights that the run starts from, in one pass over them."""
    freeze_stages: NonNegativeInt | Literal["all"] = 0
    """First stages of the backbone that are not trained, batch-norm statistics included. 'all'
    trains the classifier only."""
    frozen_bn: bool = False
    """Keep the scales, shifts and statistics of all batch-norm layers as they are."""
    act_checkpoint: bool = may_change(False)
    """Activation checkpointing: compute each block of the backbone a second time for the gradient
    instead of keeping what is inside it in memory. The gradient is the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads == "parts" and self.head_init != "random":
            raise ValueError(f"HEADS parts needs HEAD_INIT random, got {self.head_init}")
        if self.freeze_stages and (self.lora_rank or self.adapter_dim):
            raise ValueError(
                "FREEZE_STAGES must be 0 with LORA_RANK or ADAPTER_DIM, which freeze all stages, "
                f"got {self.freeze_stages}"
            )


@dataclass(frozen=True, kw_only=True)
class LossChoice(Selection):
    """The loss."""

    registry: ClassVar[Registry] = LOSSES

    name: str = "cross_entropy"
    """Loss. Its own options are in the section of its name."""
    options: Any
    defer_epochs: NonNegativeInt = 0
    """First epochs in which all class weights are 1, whatever the loss (deferred re-weighting, Cao
    et al., NeurIPS 2019). It has no effect on a loss without class weights."""
    head_shares: tuple[NonNegativeFloat, ...] = ()
    """Factor on the loss of each head, for MODEL.HEADS parts. [1, 0] trains the first head alone.
    Empty gives equal shares that sum to 1."""


@dataclass(frozen=True, kw_only=True)
class MixChoice(Selection):
    """How the clips of a training batch are mixed."""

    registry: ClassVar[Registry] = MIXERS

    name: str = "none"
    """Way of mixing. Its own options are in the section of its name. Training recall counts clips
    that are mostly themselves."""
    options: Any
    level: Literal["auto", "input", "feature"] = "auto"
    """What is mixed. 'input' mixes clips, 'feature' mixes what the backbone makes of them. 'auto'
    takes the first that the way of mixing supports."""


@dataclass(frozen=True, kw_only=True)
class SamplerChoice(Selection):
    """The order of training clips."""

    registry: ClassVar[Registry] = SAMPLERS

    name: str = "shuffle"
    """Sampler. Its own options are in the section of its name."""
    options: Any


@dataclass(frozen=True, kw_only=True)
class Config:
    """All options of a run."""

    train: Train
    test: Test = field(metadata=MAY_CHANGE)
    groups: Groups = field(metadata=MAY_CHANGE)
    data: Data
    aug: Augmentation
    model: Model
    bn: BatchNorm
    loss: LossChoice
    sampler: SamplerChoice
    mix: MixChoice
    solver: Solver
    retrain: Retrain = field(metadata=MAY_CHANGE)
    data_loader: DataLoader = field(metadata=MAY_CHANGE)
    parallel: Parallel = field(metadata=MAY_CHANGE)
    output_dir: str = may_change("output")
    """Folder for everything that a run leaves behind. It is made if it does not exist."""
    rng_seed: NonNegativeInt = 0
    """Seed of every random choice."""
    num_threads: NonNegativeInt = may_change(0)
    """Threads that torch computes with on a CPU in each training process. 0 takes one for each core
    that the process may use, or the number in OMP_NUM_THREADS. config.yaml keeps the number,
    because sums are rounded by it, and a resumed run uses it again."""
    device: Literal["auto", "cpu", "cuda"] = may_change("auto")
    """Device to compute on. 'auto' takes CUDA if there is a device."""
    log_period: PositiveInt = may_change(10)
    """Optimiser steps between two train_step lines of log.jsonl."""
    logger: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = may_change(("tensorboard",))
    """Boards that show numbers and pictures, beside the files in OUTPUT_DIR. 'wandb' and 'mlflow'
    use their own clients, which must be installed."""
    imports: tuple[str, ...] = may_change(())
    """Modules to import first, such as one of yours that registers a backbone."""

    @classmethod
    def load(
        cls, path: str | Path, overrides: Mapping[str, Any] | Sequence[str] = (), **how: bool
    ) -> "Config":
        """As the function ``load``, for use from Python: ``{"TRAIN.BATCH_SIZE": 8}`` will do."""
        return load(path, overrides, **how)


def load(
    path: str | Path,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    trust_imports: bool = False,
) -> Config:
    """The options in a YAML file, with ``KEY VALUE ...`` on top. Imports the modules in IMPORTS.

    Args:
        overrides: KEY VALUE KEY VALUE ... as typed, or key -> value.
        trust_imports: import what the file names, too, not ``overrides`` alone: it is code.

    Raises:
        ConfigError: one line that names the key, what is allowed and what was given.
    """
    below, above = read_yaml(Path(path)), parse_overrides(overrides)
    tree = without_switches(merge(_moved(below), _moved(above)))
    modules = coerce(tree.get("IMPORTS", ()), tuple[str, ...], "IMPORTS")
    strange = [name for name in modules if name not in sys.modules]
    if strange and "IMPORTS" not in above and not trust_imports:
        raise ConfigError(
            f"{path} wants to run the code of {', '.join(strange)} (IMPORTS). If you trust it, "
            f"add --trust-imports, or name it yourself: IMPORTS '[{', '.join(modules)}]'"
        )
    import_modules(modules)
    try:
        return from_tree(Config, tree)
    except UnknownKeyError as error:
        raise ConfigError(f"{error}{_what_was_meant(error.key)}") from None


def _moved(tree: dict[str, Any]) -> dict[str, Any]:
    """``tree`` with the keys of version 0.1 under their new names."""
    tree = with_new_names(tree)
    section = tree.get(OF_EACH)
    return (
        {**tree, OF_EACH: to_each_component(section, Retrain)}
        if isinstance(section, dict)
        else tree
    )


def _what_was_meant(key: str) -> str:
    # An unknown section is reported before its keys.
    known = [PYSLOWFAST[name] for name in PYSLOWFAST if name == key or name.startswith(f"{key}.")]
    if known:
        return f"; here it is {known[0]}"
    near = nearest_key(Config, key)
    return f"; did you mean {near}?" if near else ""
