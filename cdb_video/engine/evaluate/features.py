"""The features of clips: the input of the classifier."""

from collections.abc import Callable

import torch
from rich.console import Console
from torch import nn

from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.engine.record.log import progress_bar
from cdb_video.errors import DataError
from cdb_video.models import Classifier


@torch.no_grad()
def compute_features(
    model: Classifier,
    loader: BatchLoader,
    task: str,
    screen: Console,
    see: Callable[[Batch], Batch] = lambda batch: batch,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The input of the classifier ``fc`` for every sample of ``loader``.

    Args:
        see: called with each batch.

    Returns:
        (S,) int64, the record of each sample; (S, F) float32.
    """
    model.eval()
    device = next(model.parameters()).device
    seen: list[torch.Tensor] = []
    indices: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen.append(inputs[0].float().cpu())

    hook = model.get_submodule("fc").register_forward_pre_hook(keep)
    try:
        with progress_bar(screen) as bar:
            for batch in bar.track(loader.batches(), total=len(loader), description=task):
                if len(see(batch).label):
                    indices.append(batch.index.cpu())
                    model(batch.to(device).video)
    finally:
        hook.remove()
    if not seen:
        raise DataError("none of the clips can be decoded")
    return torch.cat(indices), torch.cat(seen)
