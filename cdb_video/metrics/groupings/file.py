"""Groups from a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.errors import ConfigError
from cdb_video.metrics.groups import Grouping
from cdb_video.registry import GROUPINGS

KEY = "GROUPS.FILE.PATH"


@GROUPINGS.register("file")
class GroupFile:
    """Groups in a file, such as one by the authors of a data set."""

    @dataclass(frozen=True)
    class Options:
        """Options of ``file``."""

        path: str = ""
        """JSON file {class: group} or {group: [classes]}. Classes are named, or given by their
        number from 0."""

    def __init__(self, options: Options) -> None:
        self._path = Path(options.path)

    def group(self, counts: npt.NDArray[Any], class_names: list[str]) -> Grouping:
        """Raises ``ConfigError`` if the file is wrong, or a class has no group or two groups."""
        path = self._path
        try:
            found = _by_class(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{KEY} must be a JSON file {{class: group}} or {{group: [classes]}}, got "
                f"{path}: {error}"
            ) from None
        # Class numbers, if the file does not use our class names.
        numbered = not found.keys() & set(class_names)
        keys = [str(c) for c in range(len(class_names))] if numbered else class_names
        without = [name for name, key in zip(class_names, keys, strict=True) if key not in found]
        if without:
            more = f" and {len(without) - 10} more" if len(without) > 10 else ""
            raise ConfigError(f"{KEY} {path} lacks {', '.join(without[:10])}{more}")
        groups = np.array([found[key] for key in keys])
        sizes = {
            str(name): float(np.mean(counts[groups == name])) for name in dict.fromkeys(groups)
        }
        rising = tuple(sorted(sizes, key=lambda name: sizes[name]))
        return Grouping(groups.tolist(), tuple(rising), f"as in {path}")


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
