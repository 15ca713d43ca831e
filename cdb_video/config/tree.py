"""The bridge between YAML with ``KEY VALUE`` overrides and frozen dataclasses.

A file is a tree with upper-case keys, like PySlowFast's configs. The package itself uses only
dataclasses, with the same names in lower case. Every value is checked once, here.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_type_hints

import yaml

from cdb_video.config.types import Text, coerce
from cdb_video.config.yaml_text import parse_yaml
from cdb_video.errors import ConfigError
from cdb_video.registry import Registry

T = TypeVar("T")
BASE_KEY = "_BASE_"
"""Key of the file that a file builds on, as in fvcore."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """A section whose ``NAME`` picks a registered component.

    The options of a component are a sub-section of its name (``LOSS.CDB_CE.TAU``). Those of the
    picked component become ``options``; the others are checked and dropped.
    """

    registry: ClassVar[Registry]
    choice: ClassVar[str] = "name"
    """The field that picks."""

    options: Any

    @property
    def chosen(self) -> str:
        """The picked name."""
        return str(getattr(self, self.choice))


class UnknownKeyError(ConfigError):
    """An unknown key; ``key`` is its dotted name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"unknown key {key}")
        self.key = key


def read_yaml(path: Path, allow_base: bool = True) -> dict[str, Any]:
    """The tree in a YAML file, merged over the file in its ``_BASE_`` (one level, relative).

    Raises:
        ConfigError: the file is missing, empty, not YAML, not a mapping, or repeats a key.
    """
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"config {path} is not a UTF-8 text file") from None
    except ValueError as error:
        raise ConfigError(f"config {path}: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path} must hold KEY: value lines, got {tree!r:.100}")
    base = tree.pop(BASE_KEY, None)
    if base is None:
        return tree
    if not allow_base or not isinstance(base, str):
        raise ConfigError(f"config {path}: {BASE_KEY} must name one file without a {BASE_KEY}")
    below = read_yaml(path.parent / base, allow_base=False)
    return merge(below, tree)


def parse_overrides(overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """The tree in ``KEY VALUE KEY VALUE ...`` as typed on a command line, or of key -> value."""
    if isinstance(overrides, Mapping):
        pairs = list(overrides.items())
    else:
        words = list(overrides)
        if len(words) % 2:
            raise ConfigError(
                f"options must be KEY VALUE pairs, got a KEY without VALUE: {words[-1]}"
            )
        pairs = [(key, Text(value)) for key, value in zip(words[::2], words[1::2], strict=True)]
    tree: dict[str, Any] = {}
    for key, value in pairs:
        node = tree
        *sections, last = key.split(".")
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key} contradicts an earlier option of the command line")
        node[last] = value
    return tree


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """A new tree: ``below``, with the values of ``above`` where both have a key."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result


def from_tree(cls: type[T], node: Any, key: str = "") -> T:
    """Builds the dataclass ``cls`` from a tree, filling what is absent with its defaults.

    Args:
        key: dotted name of the section, for messages.

    Raises:
        ConfigError: unknown key, wrong type, choice or range, or a required key is absent.
    """
    values = _values(cls, node, key)
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in values or field.name not in _field_names(cls):
            continue
        if dataclasses.is_dataclass(hints[field.name]):
            values[field.name] = from_tree(hints[field.name], {}, _join(key, field.name))
        elif field.default is dataclasses.MISSING:
            raise ConfigError(f"{_join(key, field.name)} is required, got nothing")
        else:
            values[field.name] = field.default
    if issubclass(cls, Selection):
        name = values[cls.choice]
        try:
            component = cls.registry.get(name)
        except ConfigError as error:
            raise ConfigError(f"{key}.{cls.choice.upper()}: {error}") from None
        sub_key = f"{key}.{name.upper()}"
        values["options"] = from_tree(component.Options, node.get(name.upper(), {}), sub_key)
    try:
        return cls(**values)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"{key}: {error}") from None


def _values(cls: type, node: Any, key: str) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key} must be a section of KEY: value lines, got {node!r:.100}")
    hints = get_type_hints(cls, include_extras=True)
    leaves = {name.upper(): name for name in _field_names(cls)}
    values: dict[str, Any] = {}
    for name, value in node.items():
        if not isinstance(name, str):
            raise ConfigError(f"a key{' in ' + key if key else ''} must be text, got {name!r:.100}")
        full_key = _join(key, name)
        if name in leaves:
            hint = hints[leaves[name]]
            is_section = dataclasses.is_dataclass(hint)
            values[leaves[name]] = (
                from_tree(hint, value, full_key) if is_section else coerce(value, hint, full_key)
            )
        elif name in (components := _component_options(cls)):
            _values(components[name], value, full_key)
        else:
            raise UnknownKeyError(full_key)
    return values


def to_tree(config: Any) -> dict[str, Any]:
    """The full tree of a dataclass: the inverse of ``from_tree``."""
    tree: dict[str, Any] = {}
    for name in _field_names(type(config)):
        value = getattr(config, name)
        tree[name.upper()] = to_tree(value) if dataclasses.is_dataclass(value) else _plain(value)
    if isinstance(config, Selection):
        tree[config.chosen.upper()] = to_tree(config.options)
    return tree


def dump(config: Any) -> str:
    """YAML text of a dataclass; reading it gives an equal dataclass."""
    return yaml.safe_dump(to_tree(config), sort_keys=False)


def flat(config: Any) -> dict[str, str]:
    """Every option of a dataclass: dotted key -> its value as text."""

    def leaves(node: Any, key: str) -> Iterator[tuple[str, str]]:
        for name, value in node.items():
            whole = f"{key}.{name}" if key else name
            if isinstance(value, Mapping):
                yield from leaves(value, whole)
            else:
                yield whole, str(value)

    return dict(leaves(to_tree(config), ""))


def known_keys(cls: type, key: str = "") -> Iterator[tuple[str, type, str]]:
    """Every leaf below ``cls``: (dotted key, dataclass that holds it, field name)."""
    hints = get_type_hints(cls)
    for name in _field_names(cls):
        if dataclasses.is_dataclass(hints[name]):
            yield from known_keys(hints[name], _join(key, name))
        else:
            yield _join(key, name), cls, name
    for name, options in _component_options(cls).items():
        yield from known_keys(options, _join(key, name))


def component_options(cls: type[Selection]) -> dict[str, set[str]]:
    """Section of each component of ``cls`` -> the keys that it may hold."""
    options = _component_options(cls)
    return {name: {field.upper() for field in _field_names(own)} for name, own in options.items()}


def free_keys(cls: type, key: str = "", free: bool = False) -> Iterator[str]:
    """Every leaf below ``cls`` that is marked with ``may_change``, or stands in such a section."""
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name in _field_names(cls):
            whole, marked = _join(key, field.name), free or "may_change" in field.metadata
            if dataclasses.is_dataclass(hints[field.name]):
                yield from free_keys(hints[field.name], whole, marked)
            elif marked:
                yield whole
    for name, options in _component_options(cls).items():
        yield from free_keys(options, _join(key, name), free)


def nearest_key(cls: type, wrong: str) -> str | None:
    """The known key that ``wrong`` was probably meant to be."""
    keys = [key for key, _, _ in known_keys(cls)]
    same_leaf = [key for key in keys if key.split(".")[-1] == wrong.split(".")[-1]]
    cutoff = 0.0 if same_leaf else 0.6
    near = difflib.get_close_matches(wrong, same_leaf or keys, n=1, cutoff=cutoff)
    return near[0] if near else None


def _component_options(cls: type) -> dict[str, type]:
    if not issubclass(cls, Selection):
        return {}
    return {name.upper(): cls.registry.get(name).Options for name in cls.registry.names()}


def _field_names(cls: type) -> list[str]:
    names = [field.name for field in dataclasses.fields(cls)]
    return [name for name in names if not (name == "options" and issubclass(cls, Selection))]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _join(key: str, name: str) -> str:
    return f"{key}.{name.upper()}" if key else name.upper()
