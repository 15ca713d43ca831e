"""Types for option fields, and the check of one value against its annotation."""

import math
import types
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cdb_video.config.yaml_text import parse_yaml
from cdb_video.errors import ConfigError


@dataclass(frozen=True)
class Interval:
    """Bounds of a number: ``[low, high]``, or open at an end where ``open_low``/``open_high``."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{'>' if self.open_low else '>='} {self.low:g}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"in {left}{self.low:g}, {self.high:g}{right}"


NonNegativeFloat = Annotated[float, Interval(low=0)]
PositiveFloat = Annotated[float, Interval(low=0, open_low=True)]
Fraction = Annotated[float, Interval(low=0, high=1)]
PositiveFraction = Annotated[float, Interval(low=0, high=1, open_low=True)]
FractionBelowOne = Annotated[float, Interval(low=0, high=1, open_high=True)]
NonNegativeInt = Annotated[int, Interval(low=0)]
PositiveInt = Annotated[int, Interval(low=1)]


MAY_CHANGE = {"may_change": True}
"""Metadata of an option, or of a section, that may differ when a run goes on."""


def may_change(default: Any) -> Any:
    """The default of an option that may change when a run resumes."""
    return field(default=default, metadata=MAY_CHANGE)


class Text(str):
    """A value typed on the command line, which is not yet a number, a list or a word."""


class _NoFit(Exception):
    pass


def coerce(value: Any, annotation: Any, key: str) -> Any:
    """``value`` as the type of ``annotation``.

    An integer and ``1e-3`` (a string in YAML 1.1) are accepted as a float, and a list becomes a
    tuple. Nothing else is converted. Command-line text is read by the annotation.

    Raises:
        ConfigError: ``key must be <allowed>, got <value>``.
    """
    try:
        return _fit(value, annotation)
    except _NoFit:
        shown = str(value) if isinstance(value, Text) else value
        words = value if isinstance(value, (list, tuple)) else [value]
        allowed, hint = describe(annotation), ""
        if "text" in allowed and any(isinstance(word, bool) for word in words):
            hint = "; YAML reads on, off, yes and no as switches: put words in quotes"
        raise ConfigError(f"{key} must be {allowed}, got {shown!r:.100}{hint}") from None


def _fit(value: Any, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        fitted = _fit(value, arguments[0])
        if fitted not in arguments[1]:
            raise _NoFit
        return fitted
    if origin in (Union, types.UnionType):
        for member in arguments:
            try:
                return _fit(value, member)
            except _NoFit:
                continue
        raise _NoFit
    if origin is Literal:
        for choice in arguments:
            if (value == choice and type(value) is type(choice)) or (
                isinstance(value, Text) and value == str(choice)
            ):
                return choice
        raise _NoFit
    if origin is tuple:
        return _fit_tuple(value, arguments)
    if annotation is type(None):
        if value is None or (isinstance(value, Text) and value.lower() in ("null", "none", "~")):
            return None
        raise _NoFit
    return _fit_scalar(value, annotation)


def _fit_tuple(value: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, Text):
        try:
            value = parse_yaml(value)
        except ValueError:
            raise _NoFit from None
    if not isinstance(value, (list, tuple)):
        raise _NoFit
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise _NoFit
    return tuple(_fit(item, kind) for item, kind in zip(value, arguments, strict=True))


def _fit_scalar(value: Any, kind: type) -> Any:
    if kind is str and isinstance(value, str):
        return str(value)
    if kind is bool:
        if isinstance(value, Text) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
    elif kind is int and not isinstance(value, bool):
        if isinstance(value, int):
            return value
        if isinstance(value, Text):
            try:
                return int(value)
            except ValueError:
                raise _NoFit from None
    elif kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise _NoFit from None
        if math.isfinite(number):
            return number
    raise _NoFit


def describe(annotation: Any) -> str:
    """``annotation`` in words, for messages and ``--help``: 'a number >= 0 or 'dynamic''."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return f"{describe(arguments[0])} {arguments[1]}"
    if origin in (Union, types.UnionType):
        return _either([word for member in arguments for word in _alternatives(member)])
    if origin is Literal:
        return _either(_alternatives(annotation))
    if origin is tuple:
        if arguments[1:] == (Ellipsis,):
            return f"a list, each {describe(arguments[0])}"
        return "a list of " + str(len(arguments)) + ": " + ", ".join(map(describe, arguments))
    names = {float: "a number", int: "an integer", str: "text", bool: "true or false"}
    return names.get(annotation, "null")


def _alternatives(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [repr(choice) for choice in get_args(annotation)]
    return [describe(annotation)]


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
