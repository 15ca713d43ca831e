"""The same on a GPU; with FAIL_WITHOUT_CUDA=1 these fail where there is none."""

import pytest
import torch

from cdb_video import options
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.train.loop import train
from cdb_video.registry import LOSSES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("mixed_precision", [False, True])
def test_a_run_on_the_gpu_learns_colours(tiny_yaml, mixed_precision):
    words = ["DEVICE", "cuda", "TRAIN.MIXED_PRECISION", str(mixed_precision)]
    words += ["SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.BASE_LR", "5e-3"]
    words += ["SOLVER.MAX_EPOCH", "15", "LOSS.NAME", "cross_entropy"]
    config = options.load(tiny_yaml, words)
    train(config)
    assert run_test(config)["top1"] == 1.0


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_loss_is_the_same_on_cpu_and_gpu(name):
    kind = LOSSES.get(name)
    logits, target = torch.randn(8, 5), torch.arange(8) % 5
    values = []
    for device in ("cpu", "cuda"):
        loss = kind(kind.Options(), num_classes=5, class_counts=torch.ones(5)).to(device)
        loss.observe(torch.linspace(0, 1, 5), torch.full((5,), 4))
        values.append(loss(logits.to(device), target.to(device)).cpu())
    torch.testing.assert_close(*values)
