"""The registries: name -> class. Files in a registry's package are found automatically."""

import difflib
import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fvcore.common.registry import Registry as FvcoreRegistry

from cdb_video.errors import ConfigError

Class = TypeVar("Class", bound=type)


class Registry:
    """Maps names in YAML to component classes, which usually have a nested dataclass ``Options``.

    The modules of ``package`` are imported at the first look-up, so only its own file mentions a
    component. A component outside the package registers when its module is imported (``IMPORTS`` in
    the config).

    Args:
        kind: the kind of entries, in the singular, for messages.
        package: dotted name of the package whose modules register entries.
        contract: how an entry is built, and what it must provide.
    """

    def __init__(self, kind: str, package: str, contract: str) -> None:
        self.kind = kind
        self.package = package
        self.__doc__ = contract
        self._classes: Any = FvcoreRegistry(kind)
        self._discovered = False

    def register(self, name: str) -> Callable[[Class], Class]:
        """Class decorator. Raises ``ValueError`` for a name that is taken or not snake_case."""
        if not name.isidentifier() or name != name.lower():
            raise ValueError(f"a {self.kind} name must be snake_case, got {name!r}")
        if name in self._classes:
            raise ValueError(
                f"{self.kind} {name!r} is already registered: {self._classes.get(name)}"
            )

        def add(cls: Class) -> Class:
            self._classes._do_register(name, cls)
            return cls

        return add

    def get(self, name: str) -> Any:
        """The class registered as ``name``. Raises ``ConfigError`` that lists the known names."""
        if name not in self.names():
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(self.names())
            raise ConfigError(f"unknown {self.kind} {name!r}{hint} (known: {known})")
        return self._classes.get(name)

    def summary(self, name: str) -> str:
        """The first sentence of the docstring of class ``name``; empty if it has none.

        Raises ``ConfigError`` for an unknown name.
        """
        paragraph = " ".join((self.get(name).__doc__ or "").split("\n\n")[0].split())
        return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        if not self._discovered:
            self._discovered = True
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
        return sorted(name for name, _ in self._classes)


BACKBONES = Registry(
    "backbone",
    "cdb_video.models.backbones",
    """Built as ``Class(Class.Options(...))``: an ``nn.Module`` with ``num_features`` and
    ``forward(video (B, 3, T, H, W) float) -> (B, num_features)`` for any T >= 1; what else it may
    offer is in ``cdb_video.models.backbone.Backbone``.""",
)
LOSSES = Registry(
    "loss",
    "cdb_video.losses",
    """Built as ``Class(Class.Options(...), num_classes=K, class_counts=(K,) int tensor)``: see
    ``cdb_video.losses.base.Loss``.""",
)
DATASETS = Registry(
    "dataset",
    "cdb_video.data.datasets",
    """Built as ``Class(Class.Options(root=...))``: has ``class_names`` and
    ``records(split) -> list[Record]`` for the splits train, val and test.""",
)
SAMPLERS = Registry(
    "sampler",
    "cdb_video.data.samplers",
    """Built as ``Class(Class.Options(...), labels=(N,) int array, num_classes=K, seed=int,
    num_epochs=int)``: see ``cdb_video.data.samplers.base.Sampler``.""",
)

MIXERS = Registry(
    "way of mixing",
    "cdb_video.mixing",
    """Built as ``Class(Class.Options(...), num_classes=K, class_counts=(K,) int tensor)``: see
    ``cdb_video.mixing.base.Mixer``.""",
)
RETRAINERS = Registry(
    "way of retraining",
    "cdb_video.engine.retrain.methods",
    """Built as ``Class(Class.Options(...))``: see ``cdb_video.engine.retrain.base.Retrainer``.""",
)
GROUPINGS = Registry(
    "grouping",
    "cdb_video.metrics.groupings",
    """Built as ``Class(Class.Options(...))``: has ``group(counts (K,) int array, class_names) ->
    cdb_video.metrics.groups.Grouping``.""",
)
DECODERS = Registry(
    "decoder",
    "cdb_video.data.decode",
    """Built as ``Class(path, decoding, span)``: see ``cdb_video.data.decode.Decoder``.""",
)
REGISTRIES = (BACKBONES, LOSSES, DATASETS, SAMPLERS, MIXERS, RETRAINERS, GROUPINGS, DECODERS)


class Registered:
    """The names in a registry, as the values that an option may have (``Annotated[str, ...]``)."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __contains__(self, name: str) -> bool:
        return name in self.registry.names()

    def __str__(self) -> str:
        return f"in {', '.join(self.registry.names())}"


def import_modules(modules: Sequence[str]) -> None:
    """Imports a user's modules, so that they register components.

    The current folder is searched first, as by ``python -m``. Python itself would search the folder
    of the script, where names such as ``compare`` are taken.

    Raises:
        ConfigError: a module, or one that it imports, cannot be found or is broken.
    """
    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(f"IMPORTS must name modules, such as my_net, got {module!r:.100}")
    if modules and sys.path[0] != os.getcwd():
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, SyntaxError) as error:
            raise ConfigError(f"IMPORTS: cannot import {module!r}: {error}") from None
