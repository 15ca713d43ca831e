"""Chooses the strength of a correction on the validation split."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from cdb_video.config.types import NonNegativeFloat
from cdb_video.engine.retrain.work import Made, Work


@dataclass(frozen=True)
class TauOptions:
    """The values of tau to choose from."""

    taus: tuple[NonNegativeFloat, ...] = tuple(step / 10 for step in range(21))
    """Choices for tau. The best by TRAIN.BEST_METRIC on the validation split is taken, and the
    smallest where several are equal."""

    def __post_init__(self) -> None:
        if not self.taus:
            raise ValueError("TAUS must hold at least one number, got none")


def best_tau(work: Work, options: TauOptions, make: Callable[[float], nn.Linear]) -> Made:
    """The classifier of ``make`` with the best tau on validation."""
    heads = {tau: make(tau) for tau in sorted(options.taus)}
    if len(heads) == 1:
        return next(iter(heads.values())), {"tau": next(iter(heads)), "scores": {}}
    scores = {tau: work.score(head) for tau, head in heads.items()}
    best = max(scores, key=lambda tau: scores[tau])
    work.screen.print(f"tau {best:g}")
    return heads[best], {"tau": best, "scores": scores}
