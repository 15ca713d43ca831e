"""Turns 'auto' in DATA.MEAN and DATA.STD into numbers, and reports every mismatch."""

import math
from collections.abc import Sequence

from rich.console import Console

from cdb_video.errors import CheckpointError
from cdb_video.models import Checkpoint, Classifier, Normalisation
from cdb_video.models.backbone import RGB
from cdb_video.models.weights.stated_normalisation import InputNormalisation

TOLERANCE = 1e-3
"""Largest relative difference between numbers that count as equal: 57.4 is 0.225 * 255."""


def set_normalisation(
    model: Classifier,
    given: InputNormalisation,
    source: Checkpoint | None,
    screen: Console,
    *,
    strict: bool,
) -> None:
    """Tells ``model`` how to normalise its input.

    'auto' becomes the value that ``source`` states, else that of the backbone's published weights.
    An explicit number stays. A line on ``screen`` says if it differs from the stated value, or if
    'auto' found no stated value.

    Args:
        source: the source of the model's weights; None for fresh weights.
        strict: refuse an explicit number that differs from the stated one.

    Raises:
        CheckpointError: ``strict`` refuses.
    """
    own, name = model.input_format, model.architecture.name
    stated = source.normalisation if source else None
    known = stated or Normalisation(own.mean, own.std)
    used = Normalisation(
        known.mean if given.mean == "auto" else given.mean,
        known.std if given.std == "auto" else given.std,
    )
    model.set_normalisation(used)
    wrong = [key for key in used._fields if not _equal(getattr(used, key), getattr(known, key))]
    if source and wrong:
        here, there = _text(used, wrong), _text(known, wrong)
        if strict and stated:
            raise CheckpointError(
                f"{source.path} was trained with {there}, got {here}; leave it at auto"
            )
        others = f"does not say, and the published weights of {name} were"
        what = "was" if stated else others
        screen.print(f"warning: {here} is used, but {source.path} {what} trained with {there}")
    elif source and not stated and "auto" in (given.mean, given.std):
        screen.print(
            f"{source.path} does not say how its input was normalised. The numbers of the "
            f"published weights of {name} are used: {_text(used)}",
        )


def _equal(one: RGB, other: RGB) -> bool:
    return all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(one, other, strict=True)
    )


def _text(numbers: Normalisation, names: Sequence[str] = Normalisation._fields) -> str:
    return ", ".join(f"DATA.{name.upper()} {list(getattr(numbers, name))}" for name in names)
