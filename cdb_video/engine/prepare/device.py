"""The device that a process computes on."""

import torch

from cdb_video import distributed
from cdb_video.errors import ConfigError
from cdb_video.options import Config
from cdb_video.system.memory import keep_freed_memory


def choose_device(config: Config) -> torch.device:
    """The device of this process, as DEVICE says; on a CPU it keeps the memory that it frees."""
    device = device_named(config.device)
    keep_freed_memory(all_of_it=device.type == "cpu")
    return device


def device_named(name: str) -> torch.device:
    """CUDA device LOCAL_RANK, or the CPU; ``name`` is auto, cpu or cuda."""
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"DEVICE must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("DEVICE must be auto or cpu where there is no CUDA device, got 'cuda'")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device
