"""Classifier heads: some are trained with the network, others are made on frozen features.

The latter are the second stage of decoupled training, Kang et al., "Decoupling Representation and
Classifier for Long-Tailed Recognition", ICLR 2020, section 4. Each is, or folds into, one
``nn.Linear``, so its checkpoint is an ordinary one.
"""

from typing import Literal

import torch
from torch import Tensor, nn

NEVER = -1e9
"""Bias of a class without training clips: far below any logit, yet finite."""


class CosineHead(nn.Linear):
    """``scale`` times the cosines between features and class weights.

    Args:
        scale: > 0; 1 if the loss has its own scale, such as LDAM.
    """

    def __init__(self, num_features: int, num_classes: int, scale: float = 1.0) -> None:
        super().__init__(num_features, num_classes, bias=False)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> logits (B, K)."""
        normalize = nn.functional.normalize
        cosines = nn.functional.linear(normalize(features), normalize(self.weight))
        return cosines if self.scale == 1 else self.scale * cosines


class AttentivePool(nn.Module):
    """One learnt query attends to all tokens: (B, N, F) -> features (B, F).

    The attentive probe of V-JEPA (Bardes et al., 2024) without its MLP.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        heads = next(n for n in (12, 8, 6, 4, 3, 2, 1) if num_features % n == 0)
        self.norm = nn.LayerNorm(num_features)
        self.query = nn.Parameter(torch.empty(1, 1, num_features))
        nn.init.trunc_normal_(self.query, std=0.02)
        self.attention = nn.MultiheadAttention(num_features, heads, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """The pooled features."""
        keys = self.norm(tokens)
        query = self.query.to(keys.dtype).expand(len(keys), -1, -1)
        found: Tensor = self.attention(query, keys, keys, need_weights=False)[0]
        return found[:, 0]


class AttentiveHead(nn.Linear):
    """A linear classifier with its own pooling in place of the backbone's."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes)
        self.pool = AttentivePool(num_features)


Head = Literal["linear", "cosine", "attentive"]


def make_head(kind: Head, num_features: int, num_classes: int, scale: float) -> nn.Linear:
    """A head that is trained with the network. Only 'cosine' uses ``scale``."""
    if kind == "attentive":
        return AttentiveHead(num_features, num_classes)
    if kind == "cosine":
        return CosineHead(num_features, num_classes, scale)
    return nn.Linear(num_features, num_classes)


class ScaledHead(nn.Module):
    """Learnable weight scaling (LWS): ``scale_c * (w_c . x + b_c)``.

    Args:
        head: the trained classifier.
        learn_all: train its weights, too, not only the scales.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, head: nn.Linear, *, learn_all: bool = False) -> None:
        super().__init__()
        for name, tensor in (("weight", head.weight), ("bias", head.bias)):
            value = tensor.detach().clone()
            if learn_all:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.scale = nn.Parameter(torch.ones_like(self.bias))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) -> logits (N, K)."""
        return self.scale * nn.functional.linear(features, self.weight, self.bias)

    def folded(self) -> nn.Linear:
        """The same function as one linear layer."""
        scale = self.scale.detach()
        return _linear(scale[:, None] * self.weight.detach(), scale * self.bias.detach())


def tau_normalised(head: nn.Linear, tau: float) -> nn.Linear:
    """Weights ``w_c / |w_c| ** tau`` without a bias (equation 5 and the sentence below it).

    Args:
        tau: 0 leaves the weights as they are, 1 makes them equally long.
    """
    weight = head.weight.detach()
    length = weight.norm(dim=1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    return _linear(weight / length**tau, torch.zeros_like(head.bias))


def logit_adjusted(head: nn.Linear, counts: Tensor, tau: float) -> nn.Linear:
    """Logits less ``tau * log`` of each class's share of the training clips.

    Post-hoc logit adjustment, equation 9 of Menon et al., "Long-tail learning via logit
    adjustment", ICLR 2021; tau 1 is Bayes' rule for classes of equal size, if the classifier knows
    the probabilities of training. A class without clips counts as one clip.

    Args:
        counts: (K,) training clips.
        tau: 0 leaves the classifier as it is.
    """
    sizes = counts.clamp(min=1).to(head.bias)
    bias = head.bias.detach() - tau * (sizes / sizes.sum()).log()
    return _linear(head.weight.detach().clone(), bias)


def label_aware_targets(
    counts: Tensor, head: float, tail: float, form: Literal["paper", "released"] = "paper"
) -> Tensor:
    """(K, K) float32: in row c the target of a clip of class c, smoothed by the size of c.

    ``1 - e_c`` for the class itself and ``e_c / (K - 1)`` for each other one, where e rises from
    ``tail`` for the smallest class to ``head`` for the largest along the first quarter of a sine
    (Zhong et al., "Improving Calibration for Long-Tailed Recognition", CVPR 2021, concave form).
    The code that the authors released has ``1 - e_c + e_c / K`` and ``e_c / K`` in their place.

    Args:
        counts: (K,) training clips, K >= 2.
    """
    sizes = counts.double()
    spread = (sizes.max() - sizes.min()).clamp(min=1)
    rise = torch.sin(torch.pi / 2 * (sizes - sizes.min()) / spread)
    smoothing = tail + (head - tail) * rise
    count = len(sizes)
    if form == "released":
        smoothing = smoothing * (count - 1) / count
    others = (smoothing / (count - 1))[:, None].expand(-1, count).clone()
    return others.diagonal_scatter(1 - smoothing).float()


@torch.no_grad()
def capped(head: nn.Module, longest: float) -> None:
    """Shortens weight vectors of classes to at most ``longest``, in place."""
    weight = head.get_parameter("weight")
    weight.copy_(torch.renorm(weight, 2, 0, longest))


def nearest_class_mean(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    distance: Literal["cosine", "euclidean"],
) -> nn.Linear:
    """The head that prefers the class whose mean feature ``m_c`` is nearest.

    ``cosine``: ``x . m_c / |m_c|``, the cosine times ``|x|``, which is the same for all classes.
    ``euclidean``: ``2 x . m_c - |m_c| ** 2``, the negative squared distance plus ``|x| ** 2``. A
    class without features is never preferred.

    Args:
        features: (N, F) of the training clips.
        labels: (N,) their classes.
    """
    sums = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=num_classes)
    return head_of_means(sums, counts, distance)


def head_of_means(
    sums: Tensor, counts: Tensor, distance: Literal["cosine", "euclidean"] = "cosine"
) -> nn.Linear:
    """``nearest_class_mean`` of the sums (K, F) of the features of each class, of ``counts`` (K,)
    clips."""
    means = sums / counts.clamp(min=1)[:, None]
    if distance == "cosine":
        length = means.norm(dim=1, keepdim=True).clamp(min=torch.finfo(means.dtype).tiny)
        weight, bias = means / length, means.new_zeros(len(means))
    else:
        weight, bias = 2 * means, -means.square().sum(dim=1)
    return _linear(weight, bias.masked_fill(counts == 0, NEVER))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
