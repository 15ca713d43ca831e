"""The one way from batches to class probabilities: validation, test and prediction take it."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.models.part_heads import parts_apart
from cdb_video.parts import Parts, sizes_of

Average = Literal["probabilities", "logits"]
"""What is averaged over the views of a clip; of logits the softmax is taken after that."""


@torch.inference_mode()
def votes(
    model: nn.Module, loader: BatchLoader, average: Average
) -> Iterator[tuple[Batch, Tensor]]:
    """Every batch, as it came, with what its clips add to the scores of their records.

    A model with a head for each part of the classes votes on the parts: K is then the sum of
    their sizes, and ``of_classes`` comes after the election.

    Args:
        model: gives logits (B, K) of uint8 clips; without the wrapper for several processes, whose
            hidden exchanges could hang here.

    Yields:
        the batch; (B, K) float64 on the device of ``model``, where B may be 0.
    """
    model.eval()
    device = next(model.parameters()).device
    for batch in loader.batches():
        if not len(batch.label):
            yield batch, torch.empty(0, 0, dtype=torch.float64, device=device)
            continue
        with parts_apart(model) as sizes:
            logits = model(batch.to(device).video).double()
        yield batch, logits if average == "logits" else probabilities(logits, sizes)


def probabilities(logits: Tensor, sizes: Sequence[int] = ()) -> Tensor:
    """(N, K) from logits.

    Args:
        sizes: of the parts of the K outputs, each of which is a distribution of its own.
    """
    if not sizes:
        return logits.softmax(dim=1)
    return torch.cat(
        [part.softmax(dim=1) for part in torch.split(logits, list(sizes), dim=1)], dim=1
    )


def elect(sums: Tensor, num_views: Tensor, average: Average, sizes: Sequence[int] = ()) -> Tensor:
    """Class probabilities of records whose ``num_views`` (N,) votes add up to ``sums`` (N, K)."""
    mean = sums / num_views.clamp(min=1)[:, None]
    return probabilities(mean, sizes) if average == "logits" else mean


def of_classes(scores: Tensor, parts: Parts) -> Tensor:
    """Class probabilities (N, K) of those of parts (N, sum of sizes), averaged over views already.

    A class is as likely as its parts together, among the classes that there are. Without parts
    ``scores`` are of classes.
    """
    if not parts:
        return scores
    columns = torch.split(scores, sizes_of(parts), dim=1)
    product = torch.ones((), device=scores.device)
    for part, own in zip(parts, columns, strict=True):
        product = product * own[:, torch.tensor(part.of_class, device=scores.device)]
    return product / product.sum(dim=1, keepdim=True).clamp(min=torch.finfo(product.dtype).tiny)
