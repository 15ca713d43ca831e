"""Processes and what they exchange: the only importer of ``torch.distributed``.

Started by torchrun there is one process group; without it there is one process, and every
function here does nothing or returns its argument. One code path serves both.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks as hooks
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from cdb_video.errors import CdbVideoError

LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
"""What stands in the errors of a process that waits for one that is gone."""


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, and leaves them at the end.

    NCCL on CUDA, gloo on CPU. A failed start raises; nothing goes on alone.

    Raises:
        CdbVideoError: another process has ended while this one waited for it.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    backend, where = ("nccl", device) if device.type == "cuda" else ("gloo", None)
    store, rank, world_size = next(rendezvous("env://"))
    # After a restart by torchrun the addresses of the processes before are still in its store.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, device_id=where)
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in LOST):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CdbVideoError(f"another process has ended, its message says why ({reason})") from None
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """Position of this process on its machine, from torchrun; 0 without it."""
    return int(os.environ.get("LOCAL_RANK", 0))


def rank() -> int:
    """Position of this process among all; known before and after they are joined, too."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", 0))


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the one process that writes files and prints."""
    return rank() == 0


def sum_(tensor: torch.Tensor) -> torch.Tensor:
    """Replaces ``tensor`` by its sum over all processes, in place; returns it."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def total(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of a CPU tensor over all processes, also where they exchange between GPUs."""
    return torch.stack(gather(tensor)).sum(dim=0).to(tensor.dtype)


def mean_(tensor: torch.Tensor) -> torch.Tensor:
    """Replaces ``tensor`` by its mean over all processes, in place; returns it."""
    return sum_(tensor).div_(world_size())


def gather(value: Any) -> list[Any]:
    """``value`` of every process, in the order of their ranks."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def anywhere(flag: bool) -> bool:
    """Whether ``flag`` is true on any process; every process must call it."""
    return any(gather(flag))


def barrier() -> None:
    """Waits until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def wrap(
    model: nn.Module, device: torch.device, *, compress: str = "none", **options: bool
) -> nn.Module:
    """``model`` with gradients averaged over processes.

    Args:
        compress: none, fp16 or bf16: what gradients are rounded to as they are sent.
        **options: of ``DistributedDataParallel``.

    Raises:
        CdbVideoError: the processes cannot send that.
    """
    if not dist.is_initialized():
        return model
    devices = [device.index] if device.type == "cuda" else None
    more: dict[str, Any] = dict(options)
    network = DistributedDataParallel(model, device_ids=devices, **more)
    if compress != "none":
        hook = {"fp16": hooks.fp16_compress_hook, "bf16": hooks.bf16_compress_hook}[compress]
        try:
            network.register_comm_hook(None, hook)
        except (TypeError, RuntimeError, ValueError) as error:
            raise CdbVideoError(
                f"PARALLEL.COMPRESS {compress} needs NCCL, which sends between GPUs; got "
                f"{dist.get_backend()}"
            ) from error
    return network


def no_sync(model: nn.Module) -> AbstractContextManager[None]:
    """A context in which gradients stay on this process, for all but the last accumulation step."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
