"""Processes and their communication: the only importer of ``torch.distributed``.

torchrun starts a process group. Without it there is one process, and every function here does
nothing or returns its argument. The callers are the same in both cases.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks as hooks
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from cdb_video.errors import CdbVideoError

if TYPE_CHECKING:  # half a second, which only ``shard`` should cost
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
"""What stands in the errors of a process that waits for one that is gone."""


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, and leaves them at the end.

    It uses NCCL on CUDA and gloo on a CPU. A failed start raises: no process goes on alone.

    Raises:
        CdbVideoError: another process has ended while this one waited for it.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    backend, where = ("nccl", device) if device.type == "cuda" else ("gloo", None)
    store, rank, world_size = next(rendezvous("env://"))
    # After a restart by torchrun, its store still has the addresses of the old processes.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, device_id=where)
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in LOST):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CdbVideoError(f"another process has ended; its message says why ({reason})") from None
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """Position of this process on its machine, from torchrun; 0 without it."""
    return int(os.environ.get("LOCAL_RANK", 0))


def rank() -> int:
    """Position of this process among all. Known at any time."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", 0))


def world_size() -> int:
    """Number of processes. Known at any time."""
    return dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this is the one process that writes files and prints."""
    return rank() == 0


def sum_(tensor: torch.Tensor) -> torch.Tensor:
    """Replaces ``tensor`` by its sum over all processes, in place; returns it."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def total(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of a CPU tensor over all processes. Works with NCCL, too."""
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


def all_of(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` (B, ...) of every process, in the order of their ranks: (W * B, ...), without a
    gradient. All must have the same shape."""
    if not dist.is_initialized():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def anywhere(flag: bool) -> bool:
    """Whether ``flag`` is true on any process; every process must call it."""
    return any(gather(flag))


def barrier() -> None:
    """Waits until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def wrap(
    model: nn.Module,
    device: torch.device,
    static_graph: bool = False,
    bucket_view: bool = False,
    compress: str = "none",
) -> nn.Module:
    """``model`` with gradients averaged over processes (``DistributedDataParallel``).

    Args:
        compress: none, fp16 or bf16: the type in which gradients are sent.

    Raises:
        CdbVideoError: the processes cannot send this type.
    """
    if not dist.is_initialized():
        return model
    devices = [device.index] if device.type == "cuda" else None
    network = DistributedDataParallel(
        model,
        device_ids=devices,
        static_graph=static_graph,
        gradient_as_bucket_view=bucket_view,
    )
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
    if is_sharded(model):
        return _unsynchronised(model)
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


@contextmanager
def _unsynchronised(model: "FSDPModule") -> Iterator[None]:
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)


def shard(model: nn.Module, units: Iterable[nn.Module], device: torch.device) -> None:
    """Shards the parameters of ``model`` over the processes (FSDP2), in place.

    Each process keeps its share of every parameter, gradient and optimiser state. The rest is
    fetched for one of ``units`` at a time. Names of parameters stay.
    """
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world_size(),))
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # channels_last cannot be sharded
    for part in (*units, model):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)


def is_sharded(model: nn.Module) -> TypeGuard["FSDPModule"]:
    """Whether ``model`` was sharded."""
    return hasattr(model, "set_reshard_after_forward")


def _is_part(value: Any) -> TypeGuard["DTensor"]:
    """Whether ``value`` is a sharded tensor."""
    return isinstance(value, torch.Tensor) and hasattr(value, "placements")


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Fetches all of a sharded model, so that each process may run it any number of times."""
    parts = [part for part in model.modules() if is_sharded(part)]
    for part in parts:
        part.set_reshard_after_forward(False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(True)


def own(tensor: torch.Tensor) -> torch.Tensor:
    """This process's share of a sharded tensor. Other tensors are returned unchanged."""
    return tensor.to_local() if _is_part(tensor) else tensor


def gathered(tree: Any) -> Any:
    """``tree`` of dicts and lists with its sharded tensors whole, on the CPU; all must call it."""
    if _is_part(tree):
        return tree.full_tensor().cpu()
    if isinstance(tree, dict):
        return {key: gathered(value) for key, value in tree.items()}
    return [gathered(value) for value in tree] if isinstance(tree, list) else tree


def parted(tree: Any, like: Any) -> Any:
    """``tree`` with its tensors sharded as those at the same place of ``like`` are."""
    if isinstance(tree, Mapping) and isinstance(like, Mapping):
        return {key: parted(value, like.get(key)) for key, value in tree.items()}
    if _is_part(like) and isinstance(tree, torch.Tensor):
        from torch.distributed.tensor import distribute_tensor

        value = tree.to(like.device)
        # Every process has read the whole tensor, so nothing is sent.
        return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
    return tree
