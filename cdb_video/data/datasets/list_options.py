"""The options that datasets of three lists share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ListOptions:
    """Where the clips and their lists lie."""

    root: str = "datasets/clips"
    """Folder of the lists and the clips. Paths are relative to it."""

    train: str = "train.csv"
    """The training list."""

    val: str = "val.csv"
    """The validation list."""

    test: str = "test.csv"
    """The test list. Only testing needs it."""


@dataclass(frozen=True)
class TestedOnValidation(ListOptions):
    """Options of data sets whose papers test on the validation list. VAL is empty."""

    val: str = ""
    """A validation list that shares no clip with training and test. Empty means none, with
    TRAIN.EVAL_PERIOD 0."""
