"""Turns 'auto' in DATA.MEAN and DATA.STD into numbers, and lets no mismatch pass in silence."""

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
    """Says to ``model`` how its input is normalised.

    'auto' becomes what ``source`` says, else what the backbone's published weights were trained
    with. An explicit number stays. A line on ``screen`` says where it differs from that, or that
    'auto' had to do without the source's word.

    Args:
        source: where the model's weights come from; None if they are fresh.
        strict: refuse an explicit number that differs from what the source says.

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
