"""Batch-norm statistics for evaluation: equal on all processes, and precise on request."""

import torch
from torch import nn

from cdb_video import distributed
from cdb_video.data.batches.batch import BatchLoader
from cdb_video.models.tuning.freezing import learning_norms


def precise_statistics(model: nn.Module, loader: BatchLoader, epoch: int, num_batches: int) -> None:
    """Sets running means and variances to those of all activations in the first ``num_batches``
    training batches of ``epoch``, over all processes.

    "Rethinking 'Batch' in BatchNorm", Wu and Johnson, arXiv:2105.07576, section 3. All but batch
    norm is in evaluation mode, as in later use. Frozen statistics stay.
    """
    from fvcore.nn.precise_bn import update_bn_stats  # its import compiles unused code

    model.eval()
    for norm in learning_norms(model):
        norm.train()
    device = next(model.parameters()).device
    clips = (batch.to(device).video for batch in loader.batches(epoch))
    update_bn_stats(model, clips, min(num_batches, len(loader)))
    merge_statistics(model)


@torch.no_grad()
def merge_statistics(model: nn.Module) -> None:
    """Averages the statistics over all processes, which have equally many clips."""
    for norm in learning_norms(model):
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        own = mean.clone()
        distributed.mean_(mean)
        distributed.mean_(variance.add_((own - mean).square()))
