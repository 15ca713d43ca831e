"""Classifiers: those that are trained with the network, and those made on frozen features.

The latter are the second stage of decoupled training, Kang et al., "Decoupling Representation and
Classifier for Long-Tailed Recognition", ICLR 2020, section 4. Each is, or folds into, one
``nn.Linear``, so that a checkpoint with it is like any other.
"""

from typing import Literal

import torch
from torch import Tensor, nn

NEVER = -1e9
"""Bias of a class without training clips: far below any logit, yet finite."""


class CosineHead(nn.Linear):
    """Cosines between features and class weights, in [-1, 1], as LDAM's scale expects them."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> logits (B, K)."""
        normalize = nn.functional.normalize
        return nn.functional.linear(normalize(features), normalize(self.weight))


HEADS = {"linear": nn.Linear, "cosine": CosineHead}
"""Name -> class of the heads that are trained with the network."""


class ScaledHead(nn.Module):
    """Learnable weight scaling (LWS): ``scale_c * (w_c . x + b_c)``; only the scales learn.

    Args:
        head: the trained classifier, which stays as it is.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", head.weight.detach().clone())
        self.register_buffer("bias", head.bias.detach().clone())
        self.scale = nn.Parameter(torch.ones_like(self.bias))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) -> logits (N, K)."""
        return self.scale * nn.functional.linear(features, self.weight, self.bias)

    def folded(self) -> nn.Linear:
        """The same map as one linear layer."""
        scale = self.scale.detach()
        return _linear(scale[:, None] * self.weight, scale * self.bias)


def tau_normalised(head: nn.Linear, tau: float) -> nn.Linear:
    """Weights ``w_c / |w_c| ** tau`` without a bias (equation 5 and the sentence below it).

    Args:
        tau: 0 leaves the weights as they are, 1 makes them equally long.
    """
    weight = head.weight.detach()
    length = weight.norm(dim=1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    return _linear(weight / length**tau, torch.zeros_like(head.bias))


def nearest_class_mean(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    distance: Literal["cosine", "euclidean"],
) -> nn.Linear:
    """The head that prefers the class whose mean feature ``m_c`` is nearest.

    ``cosine``: ``x . m_c / |m_c|``, the cosine but for the factor ``|x|``, which no class gains
    from. ``euclidean``: ``2 x . m_c - |m_c| ** 2``, the negative squared distance but for
    ``|x| ** 2``. A class without features is never preferred.

    Args:
        features: (N, F) of the training clips.
        labels: (N,) their classes.
    """
    sums = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=num_classes)
    means = sums / counts.clamp(min=1)[:, None]
    if distance == "cosine":
        length = means.norm(dim=1, keepdim=True).clamp(min=torch.finfo(means.dtype).tiny)
        weight, bias = means / length, means.new_zeros(num_classes)
    else:
        weight, bias = 2 * means, -means.square().sum(dim=1)
    return _linear(weight, bias.masked_fill(counts == 0, NEVER))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
