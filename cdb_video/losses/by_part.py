"""Several losses at once: one for each part of a class, each with a difficulty of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdb_video.difficulty import ClassState
from cdb_video.losses.base import Loss
from cdb_video.parts import Parts, sizes_of


class PartLosses(nn.Module):
    """The weighted mean of the losses of the parts. It is used as any ``Loss`` is.

    Args:
        losses: one a part, of as many classes as the part has.
        parts: of the K classes.
        shares: what each loss is multiplied with.
    """

    def __init__(self, losses: Sequence[Loss], parts: Parts, shares: Sequence[float]) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.shares = list(shares)
        self.sizes = sizes_of(parts)
        of_class = torch.tensor([part.of_class for part in parts])
        self.of_class: Tensor
        self.register_buffer("of_class", of_class, persistent=False)

    @property
    def parts(self) -> list[Loss]:
        """The losses."""
        return list(self.losses)  # type: ignore[arg-type]

    @property
    def source(self) -> str:
        """As of each of them."""
        return self.parts[0].source

    @property
    def needs_validation(self) -> bool:
        """As of each of them."""
        return self.parts[0].needs_validation

    @property
    def accepts_soft_targets(self) -> bool:
        """As of each of them."""
        return self.parts[0].accepts_soft_targets

    def start_epoch(self, epoch: int) -> None:
        """As of a ``Loss``."""
        for loss in self.parts:
            loss.start_epoch(epoch)

    def weights_in(self, epoch: int) -> Tensor:
        """(K,) what the losses of a class are multiplied with, averaged over its parts."""
        chosen = [
            loss.weights_in(epoch)[own] for loss, own in zip(self.parts, self.of_class, strict=True)
        ]
        return torch.stack(chosen).mean(dim=0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The scalar loss of a batch.

        Args:
            logits: (B, sum of the parts' sizes).
            target: (B,) int64 class ids in [0, K), or (B, K) float shares of the classes.
        """
        total = logits.new_zeros((), dtype=torch.float32)
        split = torch.split(logits, self.sizes, dim=1)
        for loss, share, own, size, part in zip(
            self.losses, self.shares, self.of_class, self.sizes, split, strict=True
        ):
            if not share:
                continue
            if target.is_floating_point():
                shares = target.new_zeros(len(target), size).index_add_(1, own, target)
                total = total + share * loss(part, shares)
            else:
                total = total + share * loss(part, own[target])
        return total

    def observe(self, recall: Tensor, counts: Tensor) -> None:
        """Takes recall and clips of all parts, one after the other, (sum of sizes,)."""
        parts = zip(
            self.parts,
            torch.split(recall, self.sizes),
            torch.split(counts, self.sizes),
            strict=True,
        )
        for loss, *own in parts:
            loss.observe(*own)

    def class_state(self, epoch: int) -> ClassState | None:
        """Difficulties and weights of all parts, one after the other; the first one's tau."""
        states = [loss.class_state(epoch) for loss in self.parts]
        found = [state for state in states if state is not None]
        if not found:
            return None
        columns = [torch.cat(column) for column in list(zip(*found, strict=True))[:2]]
        return ClassState(columns[0], columns[1], found[0].tau)
