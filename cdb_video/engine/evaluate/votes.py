"""Turns batches into class probabilities, for validation, test and prediction."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.models import Classifier
from cdb_video.models.joint import probabilities
from cdb_video.outputs import Outputs

Average = Literal["probabilities", "logits"]
"""What is averaged over the views of a clip; of logits the softmax is taken after that."""


@torch.inference_mode()
def votes(
    model: Classifier, loader: BatchLoader, average: Average
) -> Iterator[tuple[Batch, Tensor]]:
    """Yields each batch with the votes of its clips.

    Args:
        model: takes uint8 clips. Not in the wrapper for several processes: its communication
            could hang here.

    Yields:
        the batch; (B, P1 + P2 + ...) float64 of all outputs, on the device of ``model``, where B
        may be 0.
    """
    model.eval()
    device = next(model.parameters()).device
    for batch in loader.batches():
        if not len(batch.label):
            yield batch, torch.empty(0, 0, dtype=torch.float64, device=device)
            continue
        logits = model(batch.to(device).video).double()
        yield batch, logits if average == "logits" else probabilities(logits, model.outputs)


def elect(sums: Tensor, num_views: Tensor, average: Average, outputs: Outputs) -> Tensor:
    """Probabilities of all outputs of records whose ``num_views`` (N,) votes add up to ``sums``."""
    mean = sums / num_views.clamp(min=1)[:, None]
    return probabilities(mean, outputs) if average == "logits" else mean
