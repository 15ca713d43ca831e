"""The one way from batches to class probabilities: validation, test and prediction take it."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cdb_video.data.batch import Batch, BatchLoader

Average = Literal["probabilities", "logits"]
"""What is averaged over the views of a clip; of logits the softmax is taken after that."""


@torch.inference_mode()
def votes(
    model: nn.Module, loader: BatchLoader, average: Average, sizes: Sequence[int] = ()
) -> Iterator[tuple[Batch, Tensor]]:
    """Every batch, as it came, with what its clips add to the scores of their records.

    Args:
        model: gives logits (B, K) of uint8 clips; without the wrapper for several processes, whose
            hidden exchanges could hang here.
        sizes: as of ``probabilities``.

    Yields:
        the batch; (B, K) float64 on the device of ``model``, where B may be 0.
    """
    model.eval()
    device = next(model.parameters()).device
    for batch in loader.batches():
        if not len(batch.label):
            yield batch, torch.empty(0, 0, dtype=torch.float64, device=device)
            continue
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
