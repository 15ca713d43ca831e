"""LeNet-5 against the paper's counts and its formula; which frames it takes."""

import pytest
import torch
from torch.nn import functional

from cdb_video.errors import ConfigError
from cdb_video.models import build_model


def test_layers_have_the_published_sizes():
    """LeCun et al. 1998, section II-B: C5 has 48,120 parameters and F6 has 10,164. C1 has their
    156 and two more colours, C3 is fully connected."""
    model = build_model("lenet", 10)
    sizes = {
        name: sum(parameter.numel() for parameter in getattr(model, name).parameters())
        for name in ("conv1", "conv2", "fc1", "fc2")
    }
    assert sizes == {
        "conv1": 156 + 2 * 25 * 6,
        "conv2": (25 * 6 + 1) * 16,
        "fc1": 48_120,
        "fc2": 10_164,
    }


def test_a_digit_of_28_pixels_sees_the_paper_s_network():
    """32 x 32 with a border, then 28, 14, 10 and 5 pixels, and no resizing."""
    torch.manual_seed(0)
    model = build_model("lenet", 10).double().eval()
    digit = torch.randn(1, 3, 1, 28, 28, dtype=torch.float64)
    x = functional.pad(digit[:, :, 0], (2, 2, 2, 2))
    for layer, side in ((model.conv1, 14), (model.conv2, 5)):
        x = functional.conv2d(x, layer.weight, layer.bias).clamp(min=0)
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
        assert x.shape[2:] == (side, side)
    x = x.reshape(1, 400)
    for layer in (model.fc1, model.fc2):
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(model(digit), x @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize("size", [(12, 12), (12, 40), (28, 28), (32, 32), (64, 48)])
def test_frames_of_12_pixels_and_more_pass(size):
    assert build_model("lenet", 10)(torch.zeros(2, 3, 3, *size)).shape == (2, 10)


@pytest.mark.parametrize("size", [(11, 28), (28, 11)])
def test_smaller_frames_are_refused_in_one_line(size):
    message = rf"lenet: frames must be at least 12 x 12 pixels, got {size[0]} x {size[1]}"
    with pytest.raises(ConfigError, match=message) as caught:
        build_model("lenet", 10)(torch.zeros(1, 3, 1, *size))
    assert "\n" not in str(caught.value)
