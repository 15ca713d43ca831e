"""Reads the names of classes from the files of data sets."""

import json
from pathlib import Path

from cdb_video.data.lists.lines import composed, opened, read_lines
from cdb_video.errors import DataError


def read_class_names(path: Path) -> list[str]:
    """Names in the order of their numbers, from 0.

    A text file has one name in each line, or ``number name`` with numbers from 0 or from 1. A JSON
    file is a list, or ``{name: number}``; the numbers may be texts.

    Raises:
        DataError: the file cannot be read, or numbers are missing or double.
    """
    if path.suffix.lower() == ".json":
        return _from_json(path)
    lines = [line.text for line in read_lines(path)]
    parts = [text.split(None, 1) for text in lines]
    if all(len(part) == 2 and part[0].isdecimal() for part in parts):
        numbers = [int(part[0]) for part in parts]
        return in_order(path, {p[1]: n - min(numbers) for p, n in zip(parts, numbers, strict=True)})
    return in_order(path, {name: number for number, name in enumerate(lines)}, len(lines))


def _from_json(path: Path) -> list[str]:
    with opened(path) as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise DataError(f"{path} must be JSON: {error}") from None
    if isinstance(content, list):
        content = {name: number for number, name in enumerate(content)}
    try:
        return in_order(path, {str(name): int(number) for name, number in content.items()})
    except (AttributeError, TypeError, ValueError):
        raise DataError(f"{path} must be a list of names or {{name: number}}") from None


def in_order(path: Path, number_of: dict[str, int], count: int = 0) -> list[str]:
    """Names sorted by their numbers, which must be 0, 1 and so on.

    Raises:
        DataError: they are not; or there were ``count`` names, so that one is double.
    """
    if not number_of or sorted(number_of.values()) != list(range(count or len(number_of))):
        raise DataError(
            f"{path} must number {len(number_of)} classes one after another, each name once"
        )
    return [composed(name) for name in sorted(number_of, key=lambda name: number_of[name])]
