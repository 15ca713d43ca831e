"""The base of losses by difficulty: the source of their recall."""

from dataclasses import dataclass
from typing import Literal

from cdb_video.losses.base import Loss


@dataclass(frozen=True)
class SourceOptions:
    """Options of every loss by difficulty."""

    source: Literal["val", "train"] = "val"
    """Where recall comes from. 'val' takes each validation, as the paper does. 'train' takes what
    the network recognised of the epoch's training clips while it trained on them, for data without
    clips to spare for validation. It flatters classes that are learnt by heart."""


class LossByDifficulty(Loss):
    """Base of losses by difficulty, whose ``Options`` are ``SourceOptions``."""

    options: SourceOptions

    @property
    def source(self) -> Literal["val", "train"]:  # type: ignore[override]
        """``options.source``."""
        return self.options.source

    @property
    def needs_validation(self) -> bool:
        """Whether ``source`` is 'val'."""
        return self.source == "val"
