"""What a run is about: the clips of its splits, and what is to be told apart in them."""

from typing import NamedTuple

from cdb_video.data.lists.splits import Splits
from cdb_video.engine.prepare.data import read_splits, tolerated
from cdb_video.engine.prepare.groups import class_groups
from cdb_video.errors import ConfigError
from cdb_video.metrics.groups import Grouping
from cdb_video.options import Config
from cdb_video.outputs import Outputs


class Task(NamedTuple):
    """The data of a run."""

    splits: Splits
    grouping: Grouping
    outputs: Outputs
    """Of the network."""


def read_task(config: Config, *names: str, files: bool = True) -> Task:
    """Reads the splits ``names``.

    Args:
        files: look whether the files of the clips are there.

    Raises:
        CdbVideoError: lists, files, groups or outputs are not as ``config`` says.
    """
    splits = read_splits(config, *names)
    if files:
        splits.check_files(*names, max_bad_fraction=tolerated(config))
    return Task(splits, class_groups(config, splits), outputs_of(config, splits))


def outputs_of(config: Config, splits: Splits) -> Outputs:
    """The outputs of the network: the class, or with MODEL.HEADS parts what it says.

    Raises:
        ConfigError: the classes say nothing, or the scores of classes alone are to be kept.
    """
    if config.model.heads != "parts":
        return Outputs(splits.class_names)
    if not splits.outputs:
        raise ConfigError(
            "MODEL.HEADS parts needs a data set whose classes have parts, such as "
            f"epic_kitchens or egtea with LABEL action, got {config.data.name}"
        )
    if config.test.top_k:
        raise ConfigError(f"TEST.TOP_K must be 0 for MODEL.HEADS parts, got {config.test.top_k}")
    return Outputs(splits.class_names, splits.outputs)
