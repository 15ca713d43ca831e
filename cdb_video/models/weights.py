"""Owns reading weight files without running code from them, and loading them into a model."""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from cdb_video.errors import CheckpointError

HEAD = "fc."
"""Prefix of the classification head's names."""
WRAPPERS = ("state_dict", "model_state", "model")
"""Keys under which training programs keep a model's weights in their checkpoints."""


@dataclass(frozen=True)
class WeightReport:
    """What became of every tensor of a model and of a weight file."""

    path: str
    loaded: list[str]
    """In both, of the same shape: copied into the model."""
    missing: list[str]
    """In the model only: left as they were."""
    unexpected: list[str]
    """In the file only: not used."""
    mismatched: list[str]
    """In both, of different shapes: the model's are left as they were."""

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        return (
            f"{self.path}: loaded {len(self.loaded)} of {total} tensors; "
            f"missing in the file {_shorten(self.missing)}; "
            f"not in the model {_shorten(self.unexpected)}; "
            f"skipped for their shape {_shorten(self.mismatched)}"
        )


def _shorten(names: list[str]) -> str:
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{len(names)} ({shown})" if names else "0"


def _first(tensors: dict[str, Tensor]) -> str:
    name, tensor = next(iter(tensors.items()))
    return f"{name} {(*tensor.shape,)}"


def load_weights(model: nn.Module, path: str | Path) -> WeightReport:
    """Copy the tensors of a file into the parameters and buffers of the same name and shape.

    A head of another number of classes is skipped, so the model keeps its fresh one. Files older
    than batch norm's ``num_batches_tracked`` are complete without it.

    Raises:
        CheckpointError: the file cannot be read, or nothing in it fits the backbone. The model is
            unchanged then.
    """
    path = Path(path)
    found, wanted = read_state_dict(path), model.state_dict()
    shared = [name for name in wanted if name in found]
    loaded = [name for name in shared if found[name].shape == wanted[name].shape]
    if not any(wanted[name].is_floating_point() and not name.startswith(HEAD) for name in loaded):
        raise CheckpointError(
            f"{path}: no tensor fits the model by name and shape; "
            f"the model begins with {_first(wanted)}, the file with {_first(found)}"
        )
    model.load_state_dict({name: found[name] for name in loaded}, strict=False)
    return WeightReport(
        path=str(path),
        loaded=loaded,
        missing=[
            name
            for name in wanted
            if name not in found and not name.endswith("num_batches_tracked")
        ],
        unexpected=[name for name in found if name not in wanted],
        mismatched=[name for name in shared if found[name].shape != wanted[name].shape],
    )


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file on the CPU, by name.

    Reads ``.safetensors`` and what ``torch.save`` wrote: a state dict, or a checkpoint that holds
    one under ``state_dict``, ``model_state`` or ``model``. The ``module.`` that ``DataParallel``
    puts before every name is dropped.

    Raises:
        CheckpointError: the file cannot be read, or holds something else.
    """
    content = read_checkpoint(path)
    for key in WRAPPERS:
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    if not content:
        raise CheckpointError(f"{path}: must hold named tensors, got none")
    for name, value in content.items():
        if not isinstance(name, str) or not _is_dense(value):
            kind = type(value).__name__
            raise CheckpointError(f"{path}: must hold named dense tensors, got {kind} at {name!r}")
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return content


def _is_dense(value: object) -> bool:
    """Whether ``value`` is a tensor of plain numbers; others would fail amid the copying."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_meta
        and not value.is_quantized
    )


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The dict in a file written by ``torch.save`` or safetensors, tensors on the CPU.

    Only tensors and plain Python values are accepted: reading cannot run code from the file.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe or holds no dict with text keys.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        raise CheckpointError(f"{path}: {_reason(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        kind = type(content).__name__
        raise CheckpointError(f"{path}: must hold a dict with text keys, got {kind}")
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    unsafe = re.search(r"GLOBAL (\S+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and unsafe:
        return (
            f"refused, it refers to {unsafe[1]}: only tensors and plain values are read, as "
            "anything else could run code"
        )
    first_line = next(iter(str(error).splitlines()), "")
    return f"not a readable weight file ({type(error).__name__}: {first_line[:120]})"
