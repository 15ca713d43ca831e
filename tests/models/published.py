"""What tests of the residual networks compare with: names in public files, size and cost."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from cdb_video.models import build_model


def checkpoint_names(blocks, *, convolutions, downsampled):
    """Names in a public weight file of a residual network, spelled out from the architecture.

    Args:
        blocks: in each stage.
        convolutions: in a block.
        downsampled: stages, from 1, whose first block has a shortcut with parameters.
    """

    def norm(prefix):
        kinds = ("weight", "bias", "running_mean", "running_var")
        return [f"{prefix}.{kind}" for kind in kinds]

    names = ["conv1.weight", *norm("bn1")]
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            prefix = f"layer{stage}.{block}"
            for part in range(1, convolutions + 1):
                names += [f"{prefix}.conv{part}.weight", *norm(f"{prefix}.bn{part}")]
            if block == 0 and stage in downsampled:
                names += [f"{prefix}.downsample.0.weight", *norm(f"{prefix}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


def names_in(model):
    """Names in the state dict, but those that the older public files do not have."""
    return [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]


def size_and_cost(name, num_classes, *clip, **options):
    """(parameters, multiply-adds of a clip (T, H, W)) of a network, without memory for either."""
    with torch.device("meta"):
        model = build_model(name, num_classes, **options).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 3, *clip))
    operations_per_multiply_add = 2
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, counter.get_total_flops() / operations_per_multiply_add
