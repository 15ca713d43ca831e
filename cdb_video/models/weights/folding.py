"""Folds batch norms of a weight file into the tensors beside them."""

from collections.abc import Collection

from torch import Tensor

PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
EPS = 1e-5
"""Of batch norm, in PySlowFast and PyTorchVideo."""


def without_shortcut_norms(tensors: dict[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Tensors whose residual blocks compute the same in evaluation without a norm on the shortcut.

    The scale goes into the kernel of the shortcut, the shift to the last norm of the branch beside
    it, whose output is added.

    Args:
        own: names of the network's tensors; a norm that is among them stays.
    """
    found = dict(tensors)
    for name in [name for name in tensors if name.endswith(".branch1_norm.weight")]:
        block = name.removesuffix("branch1_norm.weight")
        norm = [f"{block}branch1_norm.{part}" for part in PARTS]
        kernel, bias = f"{block}branch1_conv.weight", f"{block}branch2.norm_c.bias"
        if name in own or not found.keys() >= {*norm[:4], kernel, bias}:
            continue
        weight, shift, mean, variance = (found[part].double() for part in norm[:4])
        scale = weight / (variance + EPS).sqrt()
        folded = {
            kernel: found[kernel].double() * scale.reshape(-1, 1, 1, 1, 1),
            bias: found[bias].double() + shift - mean * scale,
        }
        found |= {key: value.to(found[key].dtype) for key, value in folded.items()}
        found = {key: value for key, value in found.items() if key not in norm}
    return found
