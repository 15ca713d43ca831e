import copy
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from thread_count import threads
from torch import nn
from torch.nn import functional

from cdb_video.models import build_model
from cdb_video.models.layers import half_convolution
from cdb_video.models.layers.half_convolution import (
    HalfConvolution,
    fold_strides,
    is_misread,
    merge_groups,
    prepare_convolutions,
)

TINY = {"stage_blocks": (1, 1, 1, 1), "width": 16, "cardinality": 4}
SHAPES = {
    "stem of one frame": (nn.Conv3d(3, 16, 3, padding=1), (2, 3, 1, 12, 12)),
    "one column left": (nn.Conv3d(4, 16, 3, (1, 2, 4), (1, 1, 0)), (2, 4, 4, 8, 6)),
    "two frames, own filters": (nn.Conv3d(32, 32, 3, padding=1, groups=32), (2, 32, 2, 7, 7)),
    "four frames under five": (
        nn.Conv3d(32, 32, (5, 1, 1), padding=(2, 0, 0), groups=32),
        (2, 32, 4, 7, 7),
    ),
    "two frames under three": (nn.Conv3d(8, 16, 3, padding=1), (2, 8, 2, 8, 8)),
    "four frames under seven": (
        nn.Conv3d(8, 16, (7, 3, 3), (2, 1, 1), padding=(3, 1, 1)),
        (2, 8, 4, 8, 8),
    ),
    "one row under three": (nn.Conv3d(8, 16, 3, (1, 2, 1), padding=1), (2, 8, 8, 1, 8)),
    "two frames, narrow groups": (nn.Conv3d(32, 32, 3, padding=1, groups=8), (2, 32, 2, 8, 8)),
    "one column of five frames under seven": (
        nn.Conv3d(8, 16, (7, 3, 3), 2, (3, 1, 0)),
        (2, 8, 5, 8, 3),
    ),
    "padded with itself": (
        nn.Conv3d(8, 16, 3, padding=1, padding_mode="circular"),
        (2, 8, 2, 6, 6),
    ),
    "padded by name": (nn.Conv3d(8, 16, 3, padding="same"), (2, 8, 2, 6, 6)),
    "images of two pixels": (nn.Conv2d(4, 128, 3, padding=1), (2, 4, 2, 2)),
    "narrow groups": (nn.Conv3d(32, 32, 3, padding=1, groups=8), (2, 32, 4, 8, 8)),
    "one frame, stride in time": (
        nn.Conv3d(16, 24, (1, 1, 5), (2, 1, 1), (0, 0, 2)),
        (3, 16, 6, 10, 7),
    ),
    "one position, strides": (nn.Conv3d(8, 16, 1, (1, 2, 3)), (2, 8, 4, 9, 8)),
    "one position of an image": (nn.Conv2d(8, 16, 1), (2, 8, 5, 7)),
    "stem": (nn.Conv3d(3, 16, (3, 7, 7), (1, 2, 2), (1, 3, 3)), (2, 3, 4, 17, 20)),
    "stem of an image": (nn.Conv2d(3, 16, 7, 2, 3), (2, 3, 17, 20)),
    "patches": (nn.Conv3d(3, 32, (2, 8, 8), (2, 8, 8)), (2, 3, 5, 17, 24)),
    "dense": (nn.Conv3d(16, 24, 3, 2, 1), (2, 16, 4, 8, 8)),
}


@pytest.fixture(autouse=True)
def two_threads():
    """Some of what goes wrong in oneDNN does not with one."""
    with threads(2):
        yield


def spoil():
    """Leaves memory behind that is not a number wherever nobody writes."""
    with threads(1):  # two that share a core with other tests take five times as long
        for dtype in (torch.float32, torch.bfloat16):
            sizes = [1 << n for n in range(8, 21) for _ in "123"]
            _ = [torch.full((size,), float("nan"), dtype=dtype) for size in sizes]


def results(conv, x, *, half):
    x = x.clone().requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = conv(x)
    if half:
        spoil()
    y.float().square().sum().backward()
    return y.float(), x.grad, conv.weight.grad


@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_half_precision_is_right_in_memory_that_holds_anything(name, amx, monkeypatch):
    monkeypatch.setattr(half_convolution, "AMX", amx)
    torch.manual_seed(0)
    conv, shape = copy.deepcopy(SHAPES[name][0]), SHAPES[name][1]
    x = torch.randn(shape)
    expected = results(copy.deepcopy(conv).double(), x.double(), half=False)
    prepare_convolutions(conv)
    for _ in range(3):
        spoil()
        for got, right in zip(results(conv, x, half=True), expected, strict=True):
            assert (got - right).abs().max() < 0.03 * right.abs().max()


@st.composite
def convolutions(draw):
    """A convolution, and the shape of an input that it takes."""
    kind = draw(st.sampled_from([nn.Conv2d, nn.Conv3d, nn.Conv3d]))
    kernel = draw(st.tuples(*[st.sampled_from([1, 3, 3, 5, 7])] * (2 if kind is nn.Conv2d else 3)))
    padding = tuple(draw(st.sampled_from([0, side // 2])) for side in kernel)
    stride = tuple(draw(st.sampled_from([1, 1, 2])) for _ in kernel)
    least = [max(1, side - 2 * pad) for side, pad in zip(kernel, padding, strict=True)]
    size = tuple(draw(st.integers(side, 12)) for side in least)
    groups = draw(st.sampled_from([1, 1, 2, 8]))
    channels, outputs = (groups * draw(st.sampled_from([1, 2, 3, 8, 24])) for _ in "io")
    conv = kind(channels, outputs, kernel, stride, padding, groups=groups, bias=False)
    return conv, (draw(st.integers(1, 4)), channels, *size)


@given(convolutions())
def test_any_convolution_is_right_in_half_precision(drawn):
    torch.manual_seed(0)
    conv, shape = drawn
    x = torch.randn(shape)
    expected = results(copy.deepcopy(conv).double(), x.double(), half=False)
    prepare_convolutions(conv)
    spoil()
    for got, right in zip(results(conv, x, half=True), expected, strict=True):
        assert (got - right).abs().max() < 0.05 * right.abs().max() + 1e-3


def test_only_what_is_misread_is_kept_out():
    def misread(size, weight, stride=(1, 1, 1), padding=(1, 1, 1), dilation=(1, 1, 1)):
        return is_misread(size, weight, stride, padding, dilation)

    assert misread((1, 14, 14), (64, 3, 3, 3, 3))
    assert not misread((2, 14, 14), (64, 3, 3, 3, 3))
    assert not misread((1, 4, 4), (1024, 32, 3, 3, 3))
    assert misread((8, 14, 6), (16, 16, 3, 3, 3), (1, 1, 4), (1, 1, 0))
    assert misread((8, 9, 5), (16, 16, 3, 3, 3), padding=(1, 1, 0), dilation=(1, 1, 2))
    assert not misread((1, 1, 1), (8, 4, 1, 1, 1), padding=(0, 0, 0))


@pytest.mark.parametrize("times", [2, 4])
def test_merged_groups_give_the_same_to_the_gradient(times):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 24, 3, 5, 5), torch.randn(16, 3, 3, 3, 3, requires_grad=True)
    narrow = functional.conv3d(x, weight, padding=1, groups=8)
    wide = functional.conv3d(x, merge_groups(weight, 8, times), padding=1, groups=8 // times)
    torch.testing.assert_close(wide, narrow, atol=1e-5, rtol=1e-5)
    expected, got = (torch.autograd.grad(y.square().sum(), weight)[0] for y in (narrow, wide))
    torch.testing.assert_close(got, expected, atol=1e-2, rtol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        ((7, 7, 7), (1, 2, 2), (3, 3, 3), (5, 13, 14)),
        ((3, 7, 7), (2, 4, 4), (1, 3, 3), (6, 21, 22)),
        ((2, 8, 8), (2, 8, 8), (0, 0, 0), (5, 17, 24)),
        ((1, 4, 2), (1, 2, 3), (0, 1, 0), (2, 9, 11)),
        ((7, 7), (2, 2), (3, 3), (17, 20)),
    ],
)
def test_strides_that_became_channels_give_the_same(kernel, stride, padding, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.double)
    weight = torch.randn(8, 3, *kernel, dtype=torch.double)
    convolve = functional.conv3d if len(size) == 3 else functional.conv2d
    folded, narrow, left = fold_strides(x, weight, stride, padding)
    assert folded.shape[1] == narrow.shape[1] == 3 * math.prod(stride)
    torch.testing.assert_close(
        convolve(folded, narrow, padding=left), convolve(x, weight, None, stride, padding)
    )


def test_names_and_full_precision_stay_and_a_model_can_be_pickled():
    torch.manual_seed(0)
    model = build_model("resnext3d", 3, **TINY).eval()
    clips = torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8)
    names, expected = list(model.state_dict()), model(clips)
    model.set_precision("bf16")
    assert list(model.state_dict()) == names
    assert isinstance(model.conv1, HalfConvolution)
    again = pickle.loads(pickle.dumps(model))
    assert again(clips).dtype == torch.bfloat16
    torch.testing.assert_close(again(clips).float(), expected, atol=0.05, rtol=0.05)
    again.set_precision("fp32")
    assert torch.equal(again(clips), expected)
