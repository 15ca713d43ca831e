"""Sections of the config that belong to no single component: how a run trains, tests and loads."""

from dataclasses import dataclass
from typing import Literal

from cdb_video.option_types import (
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class DataLoader:
    """Worker processes that decode."""

    num_workers: NonNegativeInt = 2
    """Decoding processes of each training process; 0 decodes in the training process itself."""
    pin_memory: bool = True
    """Page-locked batches for faster copies to a GPU; without effect on a CPU."""
    timeout: NonNegativeFloat = 300.0
    """Seconds to wait for a batch before the run stops with an error; 0 waits forever."""
