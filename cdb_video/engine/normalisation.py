"""Turns 'auto' in DATA.MEAN and DATA.STD into numbers, and lets no mismatch pass in silence."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from torch import nn

from cdb_video.errors import CheckpointError
from cdb_video.models import Normalisation, stated_normalisation
from cdb_video.models.backbone import RGB, Backbone
from cdb_video.options import Config

TOLERANCE = 1e-3
"""Largest relative difference between numbers that count as equal: 57.4 is 0.225 * 255."""


def with_normalisation(
    config: Config, model: nn.Module, source: Path | None, screen: Console, *, strict: bool
) -> Config:
    """``config`` with numbers in DATA.MEAN and DATA.STD.

    'auto' becomes what ``source`` says, else what the backbone's published weights were trained
    with. An explicit number stays. A line on ``screen`` says where it differs from that, or that
    'auto' had to do without the source's word.

    Args:
        source: where the model's weights come from; None if they are fresh.
        strict: refuse an explicit number that differs from what the source says.

    Raises:
        CheckpointError: the source cannot be read, or ``strict`` refuses.
    """
    stated = stated_normalisation(source) if source else None
    own = getattr(model, "input_format", Backbone.input_format)
    known = stated or Normalisation(own.mean, own.std)
    given = config.data
    used = Normalisation(
        known.mean if given.mean == "auto" else given.mean,
        known.std if given.std == "auto" else given.std,
    )
    wrong = [name for name in used._fields if not _equal(getattr(used, name), getattr(known, name))]
    if source and wrong:
        here, there = _text(used, wrong), _text(known, wrong)
        if strict and stated:
            raise CheckpointError(
                f"{source} was trained with {there}, got {here}; leave it at auto"
            )
        others = f"does not say, and the published weights of {config.model.name} were"
        what = "was" if stated else others
        screen.print(f"warning: {here} is used, but {source} {what} trained with {there}")
    elif source and not stated and "auto" in (given.mean, given.std):
        screen.print(
            f"{source} does not say how its input was normalised; taken to be as for the published "
            f"weights of {config.model.name}: {_text(used)}",
        )
    data = replace(given, mean=used.mean, std=used.std)
    return replace(config, data=data)


def _equal(one: RGB, other: RGB) -> bool:
    return all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(one, other, strict=True)
    )


def _text(numbers: Normalisation, names: Sequence[str] = Normalisation._fields) -> str:
    return ", ".join(f"DATA.{name.upper()} {list(getattr(numbers, name))}" for name in names)
