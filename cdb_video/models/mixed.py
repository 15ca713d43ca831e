"""Classes made at run time of a mixin and another class. Their objects can be pickled."""

from collections.abc import Callable
from functools import cache
from typing import Any


def _mixed(name: str, *classes: type) -> type:
    return type(name, classes, {"__reduce_ex__": _reduce, "mixed_of": (name, *classes)})


mixed: Callable[..., Any] = cache(_mixed)
"""(name, *classes) -> the class ``name`` that derives from ``classes``; always the same one."""


def _reduce(self: Any, protocol: int) -> tuple[Any, ...]:
    """Pickles the two importable classes, not the made one."""
    reduced: Any = object.__reduce_ex__(self, max(protocol, 2))
    return (_blank, type(self).mixed_of, *reduced[2:])


def _blank(name: str, *classes: type) -> Any:
    kind = mixed(name, *classes)
    return kind.__new__(kind)
