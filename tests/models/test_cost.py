"""What a network costs, against sums done by hand."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cdb_video.models import cost


class Attends(nn.Module):
    """One convolution that makes tokens of 4 x 4 patches, and two heads of attention."""

    stages = (("patches",), ("rest", "scale"))

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv3d(3, 16, (1, 4, 4), stride=(1, 4, 4))
        self.rest = nn.Identity()
        self.scale = nn.Parameter(torch.ones(16))

    def forward(self, video):
        tokens = self.patches(video).flatten(2).transpose(1, 2)
        heads = tokens.unflatten(2, (2, 8)).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(heads, heads, heads)
        return self.rest(mixed.transpose(1, 2).flatten(2).mean(1).sigmoid()) * self.scale


def test_multiply_adds_are_those_of_convolution_attention_and_norm():
    tokens = 2 * 4 * 4
    convolution = tokens * 16 * 3 * 4 * 4
    attention = 2 * tokens * tokens * 8 * 2  # two heads of 8, query key^T and its product
    gmacs = cost.count_gmacs(Attends, (3, 2, 16, 16))
    assert gmacs * 1e9 == pytest.approx(convolution + attention)
    normed = cost.count_gmacs(lambda: nn.Sequential(nn.BatchNorm3d(3), Attends()), (3, 2, 16, 16))
    assert (normed - gmacs) * 1e9 == pytest.approx(2 * 3 * 2 * 16 * 16)


def test_a_network_that_looks_at_values_is_counted_on_the_cpu():
    class Looks(Attends):
        def forward(self, video):
            return super().forward(video if float(video.sum()) == 0 else video[:, :, :1])

    shape = (3, 2, 16, 16)
    assert cost.count_gmacs(Looks, shape) == cost.count_gmacs(Attends, shape)


def test_shapes_are_those_after_each_stage_that_ends_in_a_module():
    shapes = cost.stage_shapes(Attends(), torch.zeros(1, 3, 2, 16, 16))
    assert shapes == {"patches": (1, 16, 2, 4, 4)}


def test_steps_are_timed_and_train():
    model = nn.Sequential(nn.Conv3d(3, 4, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    before = model[0].weight.detach().clone()
    seconds = cost.time_steps(model, torch.randn(2, 3, 2, 4, 4))
    assert len(seconds) == cost.MAX_STEPS
    assert min(seconds) > 0
    assert not torch.equal(model[0].weight, before)


GROWS = """
import torch
from cdb_video.models import cost
device = torch.device("cpu")
before = cost.peak_bytes(device)
torch.ones(256, 2**20, dtype=torch.uint8)  # and lets go of it
print((cost.peak_bytes(device) - before) / 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_the_peak_remembers_memory_that_was_given_back():
    ballast = torch.ones(600, 2**20, dtype=torch.uint8)  # of this process, not of the other
    command = [sys.executable, "-c", GROWS]
    grown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 200 < float(grown.stdout) < 300
    assert ballast.any()
