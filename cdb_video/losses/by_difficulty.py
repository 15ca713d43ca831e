"""What losses that go by difficulty share: where their recall comes from."""

from dataclasses import dataclass
from typing import Literal

from cdb_video.losses.base import Loss


@dataclass(frozen=True)
class SourceOptions:
    """Options of every loss that goes by difficulty."""

    source: Literal["val", "train"] = "val"
    """Where recall comes from: each validation, as in the paper, or ('train') what the network
    recognised of each epoch's own training clips, as it trained on them. For where no
    validation clips can be spared; it flatters classes that are learnt by heart."""


class LossByDifficulty(Loss):
    """Base of losses that go by difficulty, whose ``Options`` are ``SourceOptions``."""

    options: SourceOptions

    @property
    def source(self) -> Literal["val", "train"]:  # type: ignore[override]
        """``options.source``."""
        return self.options.source

    @property
    def needs_validation(self) -> bool:
        """Whether ``source`` is 'val'."""
        return self.source == "val"
