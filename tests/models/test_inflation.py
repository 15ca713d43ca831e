"""Image weights in a video network: a still clip looks to it as the image did to theirs."""

import copy

import pytest
import torch
from models.small import SMALL

from cdb_video.models import build_model, load_weights


def small_model(seed):
    torch.manual_seed(seed)
    return build_model("resnext3d", 5, **SMALL["resnext3d"]).eval()


def as_image_weights(model):
    """The state dict of the 2D network whose kernels are the middle slices of ``model``'s."""
    state = copy.deepcopy(model.state_dict())
    for name, value in state.items():
        if value.ndim == 5:
            state[name] = value[:, :, value.shape[2] // 2].clone()
        elif name.endswith("running_mean"):
            state[name] = 0.1 * torch.randn_like(value)
        elif name.endswith("running_var"):
            state[name] = torch.rand_like(value) + 0.5
    return state


def image_response(model, weights, picture):
    """Output (1, C, 1, H', W') of the 2D network's last stage, computed without inflation: a
    kernel whose only slice is the middle one sees, in a clip of one frame, that frame alone."""
    model = copy.deepcopy(model)
    state = dict(weights)
    for name, value in model.state_dict().items():
        if value.ndim == 5:
            state[name] = torch.zeros_like(value)
            state[name][:, :, value.shape[2] // 2] = weights[name]
    model.load_state_dict(state)
    return last_stage(model, picture[:, :, None])


@torch.no_grad()
def last_stage(model, video):
    seen = []
    hook = model.layer4.register_forward_hook(lambda *call: seen.append(call[-1]))
    model(video)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_a_still_clip_gives_the_image_network_s_response(tmp_path, half):
    weights = as_image_weights(small_model(seed=1))
    if half:
        weights = {name: value.half() for name, value in weights.items()}
    torch.save({"state_dict": weights}, tmp_path / "image.pth")
    model = small_model(seed=2)
    kernels = [name for name, value in model.state_dict().items() if value.ndim == 5]

    report = load_weights(model, tmp_path / "image.pth")

    assert report.inflated == kernels
    assert set(report.inflated) <= set(report.loaded)
    assert report.missing == report.mismatched == []
    assert report.fraction == 1.0
    assert f"{len(kernels)} of them inflated from 2D" in str(report)

    picture = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    weights = {name: value.to(model.state_dict()[name].dtype) for name, value in weights.items()}
    expected = image_response(model, weights, picture)
    # Zero padding reaches two of the eight output frames from either end of 128 input frames.
    response = last_stage(model, picture[:, :, None].expand(-1, -1, 128, -1, -1))
    assert expected.abs().max() > 0.1
    for frame in (3, 4):
        difference = (response[:, :, frame] - expected[:, :, 0]).abs().max()
        assert difference < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("shape", [(8, 3, 7, 5), (8, 1, 7, 7), (4, 3, 7, 7), (8, 3, 7)])
def test_a_kernel_of_another_size_is_not_inflated(tmp_path, shape):
    model = small_model(seed=1)
    torch.save({**model.state_dict(), "conv1.weight": torch.ones(shape)}, tmp_path / "other.pth")
    before = model.conv1.weight.clone()
    report = load_weights(model, tmp_path / "other.pth")
    assert (report.mismatched, report.inflated) == (["conv1.weight"], [])
    assert torch.equal(model.conv1.weight, before)
