"""Computes the convolutions of a network in half precision, for each device."""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdb_video.models.mixed import mixed

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
CUDA_GROUP = 128
"""Channels of a merged group on CUDA, where cuDNN has no tensor cores for narrow groups."""
CPU_GROUP = 16
"""The same on a CPU, where only groups below half of that gain by it."""
FEW_CHANNELS = 16
"""Below which oneDNN takes another way through the input."""
AMX = bool(getattr(torch.cpu, "get_capabilities", dict[str, bool])().get("amx_bf16"))
"""Whether the processor multiplies matrices of bfloat16; no, with a torch that cannot tell."""
COLOURS = 4
"""Channels at most of an input that AMX is too wide for."""
SMALL_KERNEL = 9
"""Positions of a kernel at most that is not worth folding."""


class HalfConvolution(nn.Module):
    """Mixed into the class of a convolution. Its parameters and their names stay unchanged.

    Under autocast to half precision,

    - narrow groups are merged into wider ones, with zero weights between different groups. The
      result is the same, and matrix units can compute it;
    - a CPU computes in float32 if oneDNN would read uninitialised memory (see ``is_misread``), and
      if each channel has its own filter, because bfloat16 is slower there;
    - a CPU pads the input beforehand if the kernel is as long as the padded input (see
      ``reaches_over``), because oneDNN may compute wrongly there;
    - a CPU drops the positions that a kernel of one skips beforehand. Otherwise the threads of
      oneDNN may deadlock in the weights' gradient, or give another output with AMX. If all sides
      of the kernel are one, it is a matrix product, which is faster;
    - a CPU with AMX turns the strides of a stem into channels (see ``fold_strides``).
    """

    groups: int
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    padding_mode: str
    _reversed_padding_repeated_twice: list[int]

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        device, padding = x.device.type, self.padding
        if not torch.is_autocast_enabled(device):
            return super()._conv_forward(x, weight, bias)  # type: ignore[misc, no-any-return]
        if self.padding_mode != "zeros":
            x = functional.pad(x, self._reversed_padding_repeated_twice, self.padding_mode)
            padding = (0,) * len(self.stride)
        if device == "cpu":
            return self._on_cpu(x, weight, bias, padding)
        return self._merged(x, weight, bias, self.stride, padding)

    def _on_cpu(self, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any) -> Tensor:
        kernel, stride = weight.shape[2:], self.stride
        # Padding by name does not give the width of the output.
        named = isinstance(padding, str)
        if not named:
            alone = [k == 1 and pad == 0 for k, pad in zip(kernel, padding, strict=True)]
            steps = [step if one else 1 for step, one in zip(stride, alone, strict=True)]
            kept: Any = (..., *(slice(None, None, step) for step in steps))
            x = x[kept]
            stride = tuple(step // taken for step, taken in zip(stride, steps, strict=True))
            if all(alone) and self.groups == 1:
                return functional.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
        size = (*x.shape[2:],)
        full = (
            weight.shape[1] == 1
            or named
            or is_misread(size, weight.shape, stride, padding, self.dilation)
        )
        if not named and reaches_over(size, kernel, padding, self.dilation):
            x = functional.pad(x, self._reversed_padding_repeated_twice)
            padding = (0,) * len(stride)
        if full:
            with torch.autocast("cpu", enabled=False):
                x = x.float()
                y = convolve(x, weight, bias, stride, padding, self.dilation, self.groups)
            return y.to(torch.get_autocast_dtype("cpu"))
        stem = self.groups == 1 and weight.shape[1] <= COLOURS and prod(kernel) > SMALL_KERNEL
        if stem and max(stride) > 1 == max(self.dilation) and AMX:
            half = torch.get_autocast_dtype("cpu")
            x, weight, padding = fold_strides(x.to(half), weight.to(half), stride, padding)
            return convolve(x, weight, bias, padding=padding)
        return self._merged(x, weight, bias, stride, padding)

    def _merged(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: Any
    ) -> Tensor:
        groups, times = self.groups, _times(self.groups, weight.shape[1], x.device.type)
        if times > 1:
            weight, groups = merge_groups(weight, groups, times), groups // times
        return convolve(x, weight, bias, stride, padding, self.dilation, groups)


def convolve(x: Tensor, *arguments: Any, **named: Any) -> Tensor:
    """torch's convolution in as many dimensions as ``x`` has after the first two."""
    return (functional.conv3d if x.ndim == 5 else functional.conv2d)(x, *arguments, **named)


def is_misread(
    size: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> bool:
    """Whether oneDNN's bfloat16 convolution may read uninitialised memory (torch 2.13).

    It does, forward or in the weights' gradient, if the output is one position wide, or if a kernel
    of several frames with fewer than 16 channels gets a single frame. ``docs/performance.md`` says
    how that was found.

    Args:
        size: (T, H, W) or (H, W) of the input.
        weight: (O, I, ...), where I are the channels of a group.
        stride, padding, dilation: along the dimensions of ``size``.
    """
    _, channels, *kernel = weight
    if max(kernel) == 1:
        return False
    span = dilation[-1] * (kernel[-1] - 1) + 1
    width = (size[-1] + 2 * padding[-1] - span) // stride[-1] + 1
    return width == 1 or (size[0] == 1 < kernel[0] and channels < FEW_CHANNELS)


def reaches_over(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> bool:
    """Whether a padded dimension is no longer than the kernel.

    Without AMX, oneDNN may then compute a wrong weights' gradient or crash (torch 2.13,
    AVX512_BF16). With a stride of two and a kernel of seven this happens in float32, too.
    """
    sides = zip(size, kernel, padding, dilation, strict=True)
    return any(pad > 0 and n <= apart * (k - 1) + 1 for n, k, pad, apart in sides)


def fold_strides(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Input, weights and padding of the same convolution with a stride of one.

    s neighbouring positions become s times the channels (space to depth), and a kernel of k
    positions becomes one of ceil(k / s).

    Args:
        x: (B, C, T, H, W) or (B, C, H, W).
        weight: (O, C, ...) of one group.
        stride, padding: along the dimensions that ``x`` has after the first two.
    """
    dims = len(stride)
    around: list[int] = []
    behind: list[int] = []
    for n, k, step, pad in zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True):
        taken = -(-k // step)
        positions = (n + 2 * pad - k) // step + taken
        around = [*((pad, step * positions - n - pad) if step > 1 else (0, 0)), *around]
        behind = [0, step * taken - k, *behind]
    left = tuple(0 if step > 1 else pad for step, pad in zip(stride, padding, strict=True))

    def fold(values: Tensor) -> Tensor:
        sides = zip(values.shape[2:], stride, strict=True)
        parts = (part for n, step in sides for part in (n // step, step))
        split = values.reshape(*values.shape[:2], *parts)
        order = (0, *range(2, 2 + 2 * dims, 2), 1, *range(3, 3 + 2 * dims, 2))
        return split.permute(order).flatten(1 + dims).movedim(-1, 1)

    return fold(functional.pad(x, around)), fold(functional.pad(weight, behind)), left


def merge_groups(weight: Tensor, groups: int, times: int) -> Tensor:
    """Weights (O, I, ...) of ``groups`` for ``groups / times`` groups, (O, times * I, ...)."""
    narrow = weight.reshape(groups // times, times, -1, 1, *weight.shape[1:])
    own = torch.eye(times, dtype=weight.dtype, device=weight.device)
    wide = narrow * own.view(1, times, 1, times, *[1] * (weight.ndim - 1))
    wide = wide.reshape(weight.shape[0], times * weight.shape[1], *weight.shape[2:])
    layout = torch.channels_last_3d if weight.ndim == 5 else torch.channels_last
    return wide.contiguous(memory_format=layout)


def _times(groups: int, width: int, device: str) -> int:
    """How many groups of ``width`` channels are merged into one."""
    if groups == 1 or width == 1:
        return 1
    if device == "cpu":
        most = CPU_GROUP // width if width < CPU_GROUP // 2 else 1
    else:
        most = CUDA_GROUP // width
    return max(n for n in range(1, max(1, most) + 1) if groups % n == 0)


def prepare_convolutions(model: nn.Module) -> None:
    """Lets the 2D and 3D convolutions in ``model`` compute so."""
    for module in model.modules():
        kind: Any = type(module)
        if issubclass(kind, CONVOLUTIONS) and not issubclass(kind, HalfConvolution):
            module.__class__ = mixed(f"Half{kind.__name__}", HalfConvolution, kind)
