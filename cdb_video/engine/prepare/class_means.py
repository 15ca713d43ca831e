"""Starts the classifier from the mean feature of each class."""

from functools import partial

import torch
from rich.console import Console

from cdb_video import distributed
from cdb_video.data.lists.splits import Splits
from cdb_video.engine.prepare.data import make_eval_loader
from cdb_video.models import Classifier
from cdb_video.models.heads import head_of_means
from cdb_video.options import Config


@torch.inference_mode()
def set_head_to_class_means(
    model: Classifier, config: Config, splits: Splits, device: torch.device, screen: Console
) -> None:
    """Sets the classifier of ``model`` to the nearest class mean by cosine.

    The processes together see the centre view of every training clip once.
    """
    num_classes = len(splits.class_names)
    sums = torch.zeros(num_classes, model.num_features, dtype=torch.float64, device=device)
    counts = torch.zeros(num_classes, dtype=torch.float64, device=device)
    loader = make_eval_loader(config, splits, "train", device)
    model.eval()
    for batch in loader.batches():
        if not len(batch.label):
            continue
        here = batch.to(device)
        model(here.video, partial(_add_up, sums, here.label))
        counts.index_add_(0, here.label, torch.ones_like(here.label, dtype=torch.float64))
    head = head_of_means(distributed.sum_(sums), distributed.sum_(counts))
    model.fc.weight.copy_(head.weight)
    if model.fc.bias is not None:
        model.fc.bias.copy_(head.bias.clamp(min=-1.0))
    screen.print(f"the classifier starts from the mean features of {int(counts.sum())} clips")


def _add_up(sums: torch.Tensor, label: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    sums.index_add_(0, label, features.double())
    return features
