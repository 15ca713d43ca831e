"""The groups of classes that a run is judged by, as TEST.GROUPS says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.data.lists.splits import Splits
from cdb_video.errors import ConfigError
from cdb_video.metrics.groups import (
    PRESETS,
    Grouping,
    by_thresholds,
    head_tail_fewshot,
    smallest_share,
)
from cdb_video.options import Config
from cdb_video.sections import Test

MEAN = ("minority", "majority")


def class_groups(config: Config, splits: Splits) -> Grouping:
    """The group of each class of a data set.

    Raises:
        ConfigError: thresholds and names do not fit together, or the file of groups is wrong.
    """
    return grouping_of(config.test, splits.counts(config.test.group_counts), splits.class_names)


def grouping_of(test: Test, counts: npt.NDArray[np.int64], class_names: list[str]) -> Grouping:
    """The groups of classes with ``counts`` (K,) clips.

    Raises:
        ConfigError: as ``class_groups``.
    """
    if test.groups in PRESETS:
        return by_thresholds(counts, *PRESETS[test.groups])
    if test.groups == "head_tail_fewshot":
        return head_tail_fewshot(counts, test.head_share, test.head_rounding, test.few_shot)
    if test.groups == "epic_tail":
        return smallest_share(counts)
    if test.groups == "file":
        return read_groups(Path(test.group_file), class_names, counts)
    if test.groups == "mean":
        return by_thresholds(counts, "mean", MEAN)
    try:
        return by_thresholds(counts, test.group_thresholds, test.group_names)
    except ValueError as error:
        raise ConfigError(f"TEST.GROUP_THRESHOLDS, TEST.GROUP_NAMES: {error}") from None


def read_groups(path: Path, class_names: list[str], counts: npt.NDArray[np.int64]) -> Grouping:
    """Groups from a JSON file: ``{class: group}``, or ``{group: [classes]}``.

    Classes are named, or given by their number from 0.

    Raises:
        ConfigError: the file cannot be read, or a class has no group in it, or two.
    """
    try:
        found = _by_class(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            "TEST.GROUP_FILE must be a JSON file {class: group} or {group: [classes]}, got "
            f"{path}: {error}"
        ) from None
    # Numbers where the names of the classes are others.
    numbered = not found.keys() & set(class_names)
    keys = [str(c) for c in range(len(class_names))] if numbered else class_names
    without = [name for name, key in zip(class_names, keys, strict=True) if key not in found]
    if without:
        more = f" and {len(without) - 10} more" if len(without) > 10 else ""
        raise ConfigError(f"TEST.GROUP_FILE {path} lacks {', '.join(without[:10])}{more}")
    groups = [found[key] for key in keys]
    sizes = {
        name: np.mean([n for n, group in zip(counts, groups, strict=True) if group == name])
        for name in dict.fromkeys(groups)
    }
    return Grouping(groups, tuple(sorted(sizes, key=lambda n: float(sizes[n]))), f"as in {path}")


def _by_class(content: Mapping[str, Any]) -> dict[str, str]:
    if all(isinstance(group, str) for group in content.values()):
        return dict(content)
    found: dict[str, str] = {}
    for group, classes in content.items():
        for name in classes:
            if str(name) in found:
                raise ValueError(f"{name} is in {found[str(name)]} and in {group}")
            found[str(name)] = group
    return found
