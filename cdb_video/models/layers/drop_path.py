"""Stochastic depth: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch in training, for each sample of the batch by itself.

    The kept branches are divided by the share that is kept. So the mean stays, and evaluation needs
    no factor.

    Args:
        rate: share of samples whose branch is dropped, in [0, 1); 0 costs nothing.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training or self.rate == 0:
            return branch
        kept = 1 - self.rate
        mask = branch.new_empty(branch.shape[0], *[1] * (branch.ndim - 1)).bernoulli_(kept)
        return branch * (mask / kept)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
