"""Classes that are made of parts, as an action is of a verb and a noun."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Part(NamedTuple):
    """One of the things that a class says."""

    name: str
    """Such as verb."""
    class_names: list[str]
    """(P,) what it may be."""
    of_class: list[int]
    """(K,) which of them each class has."""


Parts = tuple[Part, ...]
"""Of a data set; none where its classes are only themselves."""


def sizes_of(parts: Parts) -> list[int]:
    """How many there are of each part: how outputs of a network with a head a part divide."""
    return [len(part.class_names) for part in parts]


def output_names(parts: Parts) -> list[str]:
    """Names of the outputs of a network with a head a part, one part after the other."""
    return [f"{part.name} {name}" for part in parts for name in part.class_names]


def as_plain(parts: Parts) -> dict[str, Any]:
    """``parts`` as plain values, for a checkpoint."""
    return {part.name: {"names": part.class_names, "of_class": part.of_class} for part in parts}


def from_plain(content: Any, num_classes: int) -> Parts:
    """What ``as_plain`` gave; none of what is empty.

    Raises:
        ValueError: it is something else, or does not fit ``num_classes``.
    """
    try:
        parts = tuple(
            Part(str(name), list(map(str, part["names"])), list(map(int, part["of_class"])))
            for name, part in (content or {}).items()
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"parts of classes must have names and of_class: {error}") from None
    check(parts, num_classes)
    return parts


def check(parts: Sequence[Part], num_classes: int) -> None:
    """Raises ``ValueError`` where a class has no part, or one that there is not."""
    for part in parts:
        if len(part.of_class) != num_classes or not all(
            0 <= number < len(part.class_names) for number in part.of_class
        ):
            raise ValueError(
                f"each of the {num_classes} classes must have one of {len(part.class_names)} "
                f"{part.name}s"
            )
