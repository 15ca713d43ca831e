"""The losses of a network: one for each output, with its own difficulties."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from cdb_video.difficulty import ClassRecall, ClassState
from cdb_video.losses.base import Loss
from cdb_video.outputs import Outputs


class OutputLosses:
    """The weighted sum of the losses of all outputs, which are of one kind.

    Args:
        losses: one for each output, with its number of classes.
        outputs: of the network.
        shares: the factor of each loss.
    """

    def __init__(self, losses: Sequence[Loss], outputs: Outputs, shares: Sequence[float]) -> None:
        self._losses, self._shares, self._sizes = [*losses], [*shares], outputs.sizes
        self._of_class = [torch.tensor(output.of_class) for output in outputs]

    def to(self, device: torch.device) -> "OutputLosses":
        """Moves all state to ``device``; returns itself."""
        self._losses = [loss.to(device) for loss in self._losses]
        self._of_class = [own.to(device) for own in self._of_class]
        return self

    def __iter__(self) -> Iterator[Loss]:
        return iter(self._losses)

    @property
    def source(self) -> Literal["val", "train"]:
        """As in each loss."""
        return self._losses[0].source

    @property
    def needs_validation(self) -> bool:
        """As in each loss."""
        return self._losses[0].needs_validation

    @property
    def accepts_soft_targets(self) -> bool:
        """As in each loss."""
        return self._losses[0].accepts_soft_targets

    def start_epoch(self, epoch: int) -> None:
        """As in ``Loss``."""
        for loss in self:
            loss.start_epoch(epoch)

    def weights_in(self, epoch: int) -> Tensor:
        """(K,) the factor of each class's loss, averaged over the outputs."""
        each = zip(self, self._of_class, strict=True)
        return torch.stack([loss.weights_in(epoch)[own] for loss, own in each]).mean(dim=0)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """The scalar loss of a batch.

        Args:
            logits: (B, P1 + P2 + ...) of all outputs.
            target: (B,) int64 class ids in [0, K), or (B, K) float shares of the classes.
        """
        total = logits.new_zeros((), dtype=torch.float32)
        each = zip(self, self._shares, self._of_class, self._sizes, strict=True)
        columns = torch.split(logits, self._sizes, dim=1)
        for (loss, share, own, size), part in zip(each, columns, strict=True):
            if not share:
                continue
            if target.is_floating_point():
                wanted = target.new_zeros(len(target), size).index_add_(1, own, target)
            else:
                wanted = own[target]
            total = total + share * loss(part, wanted)
        return total

    def observe(self, recalls: Sequence[ClassRecall]) -> None:
        """Passes the recall of each output to its loss."""
        for loss, (recall, counts) in zip(self, recalls, strict=True):
            loss.observe(recall, counts)

    def class_states(self, epoch: int) -> list[ClassState]:
        """Difficulties and weights of each output in ``epoch``; empty without difficulties."""
        states = [loss.class_state(epoch) for loss in self]
        return [state for state in states if state is not None]

    def state_dict(self) -> dict[str, Any]:
        """The state of a single loss, or of several by their number."""
        if len(self._losses) == 1:
            return self._losses[0].state_dict()
        return {
            f"losses.{number}.{name}": value
            for number, loss in enumerate(self)
            for name, value in loss.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of ``state_dict``."""
        if len(self._losses) == 1:
            self._losses[0].load_state_dict(state)
            return
        for number, loss in enumerate(self):
            own = f"losses.{number}."
            loss.load_state_dict(
                {name.removeprefix(own): v for name, v in state.items() if name.startswith(own)}
            )
