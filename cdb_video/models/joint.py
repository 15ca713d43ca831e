"""Computes the classes of a data set from the outputs of a network."""

import torch
from torch import Tensor

from cdb_video.outputs import Outputs


def joint_logits(logits: Tensor, outputs: Outputs) -> Tensor:
    """Logits (B, K) of classes from those of all outputs (B, P1 + P2 + ...).

    The logit of a class is the sum of the log-probabilities of its outputs. So its softmax is the
    product of their probabilities, normalised over the existing classes.
    """
    if not outputs.several:
        return logits
    found = [one.log_softmax(dim=1) for one in torch.split(logits, outputs.sizes, dim=1)]
    chosen = [one[:, own.of_class] for own, one in zip(outputs, found, strict=True)]
    return torch.stack(chosen).sum(dim=0)


def joint_probabilities(scores: Tensor, outputs: Outputs) -> Tensor:
    """Probabilities (N, K) of classes from those of all outputs (N, P1 + P2 + ...)."""
    if not outputs.several:
        return scores
    product = torch.ones((), device=scores.device)
    for own, columns in zip(outputs, torch.split(scores, outputs.sizes, dim=1), strict=True):
        product = product * columns[:, own.of_class]
    return product / product.sum(dim=1, keepdim=True).clamp(min=torch.finfo(product.dtype).tiny)


def probabilities(logits: Tensor, outputs: Outputs) -> Tensor:
    """Probabilities of all outputs, (N, P1 + P2 + ...). Those of each output sum to 1."""
    parts = [one.softmax(dim=1) for one in torch.split(logits, outputs.sizes, dim=1)]
    return torch.cat(parts, dim=1)
