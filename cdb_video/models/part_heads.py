"""A classifier with a head for each part of a class, such as verb and noun."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cdb_video.parts import Parts, sizes_of


class PartHeads(nn.Linear):
    """Linear heads side by side, one a part; a class is as likely as its parts together.

    The logit of a class is the sum of the log-probabilities of its parts, so that its softmax is
    the product of the parts' probabilities among the classes that there are.
    """

    apart: bool
    """Whether ``forward`` gives the logits of the parts, as the losses take them."""

    def __init__(self, num_features: int, parts: Parts) -> None:
        super().__init__(num_features, sum(sizes_of(parts)))
        self.sizes = sizes_of(parts)
        self.apart = False
        self.register_buffer(
            "of_class", torch.tensor([part.of_class for part in parts]), persistent=False
        )

    of_class: Tensor
    """(P, K) int64."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> logits (B, K), or with ``apart`` those of all parts (B, sum of sizes)."""
        logits = super().forward(features)
        return logits if self.apart else self.joint(logits)

    def joint(self, logits: Tensor) -> Tensor:
        """(B, K) from the parts' logits."""
        found = [part.log_softmax(dim=1) for part in torch.split(logits, self.sizes, dim=1)]
        chosen = [part[:, own] for part, own in zip(found, self.of_class, strict=True)]
        return torch.stack(chosen).sum(dim=0)


@contextmanager
def parts_apart(model: nn.Module) -> Iterator[list[int]]:
    """Lets a model give the logits of the parts of its classes; yields their sizes.

    Without parts the model stays as it is, and there are no sizes.
    """
    heads = [part for part in model.modules() if isinstance(part, PartHeads)]
    before = [head.apart for head in heads]
    for head in heads:
        head.apart = True
    try:
        yield heads[0].sizes if heads else []
    finally:
        for head, apart in zip(heads, before, strict=True):
            head.apart = apart
