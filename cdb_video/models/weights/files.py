"""Reads weight files and folders without running code from them."""

import argparse
import json
import pathlib
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from cdb_video.errors import CheckpointError
from cdb_video.system.file_kinds import what_instead

WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "weights",
)
"""Keys under which training programs keep a model's weights in their checkpoints: averaged ones,
which are what such programs test, before others."""
PREFIXES = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
"""The weights in a folder that transformers wrote; in parts, where one is followed by INDEX."""
INDEX = ".index.json"


def _plain_dict(*factory: object) -> dict[Any, Any]:
    """Replaces a ``defaultdict`` in a file."""
    return {}


def _harmless() -> list[Any]:
    """Harmless types that training programs store beside weights: they only hold values.

    A path of any system becomes one that opens no file.
    """
    kinds = [np.dtype(kind) for kind in "?bBhHiIlLqQefdFD"]
    makers = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.empty(0).__reduce__()[0]}
    return [
        argparse.Namespace,
        (_plain_dict, "collections.defaultdict"),
        *(np.dtype, np.ndarray, *{type(kind) for kind in kinds}),
        *(
            (maker, f"{module}.multiarray.{name}")
            for name, maker in makers.items()
            for module in ("numpy.core", "numpy._core")
        ),
        *(int, float, str, bool, list, dict, set, tuple),
        *(
            (pathlib.PurePosixPath, f"{module}.{name}")
            for module in ("pathlib", "pathlib._local")
            for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
        ),
    ]


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file or of a transformers folder on the CPU, by name.

    Reads ``.safetensors`` and what ``torch.save`` wrote: a state dict, or a checkpoint that holds
    one under one of ``WRAPPERS``. Values that are no tensors are ignored. The prefixes
    ``module.`` of ``DataParallel`` and ``_orig_mod.`` of ``torch.compile`` are dropped.

    Raises:
        CheckpointError: the file cannot be read, or has other content.
    """
    path = Path(path)
    return tensors_in(read_content(path), path)


def read_content(path: Path) -> dict[str, Any]:
    """The content of a weight file or a transformers folder. Raises as ``read_state_dict``."""
    return _read_folder(path) if path.is_dir() else read_checkpoint(path)


def tensors_in(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors in the content of ``path``; see ``read_state_dict``."""
    held = next((content[key] for key in WRAPPERS if _is_state_dict(content.get(key))), content)
    weights = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    if not weights:
        kinds = ", ".join(f"{name!r} {type(value).__name__}" for name, value in held.items())
        raise CheckpointError(f"{path}: must hold named tensors, got {kinds[:200] or 'none'}")
    for name, value in weights.items():
        if not _is_dense(value):
            kind = type(value).__name__
            raise CheckpointError(f"{path}: must hold named dense tensors, got {kind} at {name!r}")
    content = weights
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in content)), ""):
        content = {name.removeprefix(prefix): value for name, value in content.items()}
    return content


def _is_state_dict(value: object) -> bool:
    return isinstance(value, dict) and any(
        isinstance(name, str) and isinstance(part, Tensor) for name, part in value.items()
    )


def _is_dense(value: Tensor) -> bool:
    """Whether ``value`` is a tensor of plain numbers. Others would fail during copying."""
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized


def _read_folder(folder: Path) -> dict[str, Any]:
    """The weights that ``save_pretrained`` of transformers wrote to a folder, in one or more files.

    An index names the file of each tensor. Only files beside it are opened.
    """
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return read_checkpoint(folder / name)
        index = folder / (name + INDEX)
        if index.is_file():
            parts = read_json(index).get("weight_map")
            if not isinstance(parts, dict) or not all(map(_is_file_name, parts.values())):
                raise CheckpointError(f"{index}: weight_map must name the file of each tensor")
            files = [read_checkpoint(folder / part) for part in sorted(set(parts.values()))]
            return {key: value for file in files for key, value in file.items()}
    raise CheckpointError(f"{folder}: no such file in this folder: {' or '.join(FOLDER_FILES)}")


def _is_file_name(value: object) -> bool:
    return isinstance(value, str) and Path(value).name == value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file cannot be read, or has other content.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: must hold a JSON object, got {type(content).__name__}")
    return content


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The dict in a file written by ``torch.save`` or safetensors, tensors on the CPU.

    Only tensors and plain Python values are accepted: reading cannot run code. A file of
    ``torch.save`` is memory-mapped: unused tensors are not read.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or holds no dict with text keys.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            mmap = zipfile.is_zipfile(path)  # the format since torch 1.6
            if mmap:
                _check_sums(path)
            with torch.serialization.safe_globals(_harmless()):
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # a damaged file can make the readers raise anything
        raise CheckpointError(f"{path}: {what_instead(path) or _reason(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        kind = type(content).__name__
        raise CheckpointError(f"{path}: must hold a dict with text keys, got {kind}")
    return content


def _check_sums(path: Path) -> None:
    """Checks the CRC-32 of every part of a file of ``torch.save``; torch does not check it."""
    with zipfile.ZipFile(path) as parts:
        if (damaged := parts.testzip()) is not None:
            raise ValueError(f"damaged, the checksum of {damaged} is wrong")


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    unsafe = re.search(r"GLOBAL (\S+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and unsafe:
        return (
            f"refused, it refers to {unsafe[1]}: only tensors and plain values are read, as "
            "anything else could run code; where you trust it, save its weights alone again with "
            "torch.save(model.state_dict(), ...) or as safetensors"
        )
    first_line = next(iter(str(error).splitlines()), "")
    return f"not a readable weight file ({type(error).__name__}: {first_line[:120]})"
