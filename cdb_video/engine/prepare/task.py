"""The task of a run: the clips of its splits, and the outputs of its network."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.data.lists.splits import Splits
from cdb_video.engine.prepare.data import read_splits, tolerated
from cdb_video.errors import ConfigError
from cdb_video.metrics.groups import Grouping
from cdb_video.models import Checkpoint
from cdb_video.options import Config
from cdb_video.outputs import Outputs
from cdb_video.registry import DATASETS, GROUPINGS
from cdb_video.sections import Groups


class Task(NamedTuple):
    """The data of a run."""

    splits: Splits
    grouping: Grouping
    outputs: Outputs
    """Of the network."""
    groups: Groups
    """What made ``grouping`` of the classes, and makes one of what each output tells apart."""


def read_task(config: Config, *names: str, files: bool = True) -> Task:
    """Reads the splits ``names``.

    Args:
        files: check that the files of the clips exist.

    Raises:
        CdbVideoError: lists, files, groups or outputs do not match ``config``.
    """
    splits = read_splits(config, *names)
    if files:
        splits.check_files(*names, max_bad_fraction=tolerated(config))
    grouping = grouping_of(config.groups, splits.counts(config.groups.counts), splits.class_names)
    return Task(splits, grouping, outputs_of(config, splits), config.groups)


def read_test_task(config: Config, checkpoint: Checkpoint) -> Task:
    """The data of a test; classes and groups are the checkpoint's where there is no training list.

    Raises:
        CdbVideoError: as ``read_task``.
    """
    options, names = config.data.options, checkpoint.class_names
    if not hasattr(options, "classes") or names is None:
        return read_task(config, "test")
    if (Path(options.root).expanduser() / options.train).is_file():
        return read_task(config, "test")
    known = replace(options, classes=options.classes or tuple(names))
    splits = Splits(DATASETS.get(config.data.name)(known), ("test",))
    splits.check_files("test", max_bad_fraction=tolerated(config))
    groups = checkpoint.groups or ["all"] * len(names)
    order = tuple(checkpoint.group_names or dict.fromkeys(groups))
    grouping = Grouping(groups, order, "as in training")
    return Task(splits, grouping, outputs_of(config, splits), config.groups)


def grouping_of(groups: Groups, counts: npt.NDArray[np.int64], class_names: list[str]) -> Grouping:
    """The groups of classes with ``counts`` (K,) clips.

    Raises:
        ConfigError: options do not fit together, or a file of groups is wrong.
    """
    grouping: Grouping = GROUPINGS.get(groups.name)(groups.options).group(counts, class_names)
    return grouping


def outputs_of(config: Config, splits: Splits) -> Outputs:
    """The outputs of the network: the class, or with MODEL.HEADS parts its parts.

    Raises:
        ConfigError: the classes have no parts, or TEST.SCORES keeps class scores only.
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
