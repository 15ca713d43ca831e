"""The machine: versions, devices, decoders, shared memory, disk space for checkpoints."""

import importlib
import os
import platform
from pathlib import Path

import av
import torch

from cdb_video.doctor.findings import Diagnosis, Level
from cdb_video.engine.prepare.data import shared_memory
from cdb_video.engine.prepare.model import new_model
from cdb_video.errors import CdbVideoError
from cdb_video.options import Config
from cdb_video.outputs import Outputs
from cdb_video.registry import DECODERS
from cdb_video.system.files import free_space
from cdb_video.version import __version__

CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg")
COPIES = {"sgd": 2, "adamw": 3}
"""Of the weights in a checkpoint: themselves, and what the optimiser keeps of each."""


def check_environment(config: Config, diagnosis: Diagnosis) -> None:
    """Versions, devices and decoders."""
    versions = {
        "cdb_video": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "av": av.__version__,
    }
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    diagnosis.numbers["environment"] = {"versions": versions, "devices": devices}
    diagnosis.add("ok", "versions", f"{shown}, on {platform.system()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    diagnosis.add("ok", "devices", f"{', '.join(devices) or 'no CUDA device'}; {cores} CPU cores")
    there = []
    for name in DECODERS.names():
        try:
            importlib.import_module(name if name != "pyav" else "av")
            there.append(name)
        except (ImportError, OSError, RuntimeError):
            continue
    reads = [codec for codec in CODECS if codec in av.codecs_available]
    chosen = config.data.decoder
    level: Level = (
        "ok" if chosen in there or chosen not in ("pyav", "decord", "torchcodec") else "error"
    )
    text = f"{', '.join(there)} are installed, {chosen} is chosen; PyAV decodes {', '.join(reads)}"
    diagnosis.add(level, "decoders", text)


def check_shared_memory(config: Config, diagnosis: Diagnosis) -> None:
    """Whether the batches that workers prepare fit into shared memory."""
    memory = shared_memory(config)
    if memory is not None:
        needed, free = memory
        text = f"{needed / 1e6:,.0f} MB for batches that are ready, {free / 1e6:,.0f} MB are free"
        diagnosis.add("ok" if needed < free else "error", "/dev/shm", text)


def check_disk(config: Config, num_classes: int, diagnosis: Diagnosis) -> None:
    """Whether the run's checkpoints fit on the disk of OUTPUT_DIR."""
    try:
        model = new_model(config, Outputs.unnamed(num_classes), torch.device("cpu"))
    except CdbVideoError as error:
        diagnosis.add("error", "model", str(error))
        return
    weights = sum(tensor.numel() * 4 for tensor in model.state_dict().values())
    copies = COPIES[config.solver.optimizing_method] + (config.train.ema_decay > 0)
    period, last = config.train.checkpoint_period, config.solver.max_epoch
    kept = min(config.train.keep_checkpoints or last, -(-last // period))
    needed = weights * copies * (kept + 2)  # the best one, and one being written
    folder = Path(config.output_dir).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = free_space(folder)
    level: Level = "ok" if needed < free else "error"
    advice = "" if needed < free else "; TRAIN.KEEP_CHECKPOINTS keeps fewer"
    text = f"{kept} checkpoints of {weights * copies / 1e6:,.0f} MB and the best take "
    text += f"{needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free{advice}"
    diagnosis.add(level, "disk", text)
    if not os.access(there, os.W_OK):
        diagnosis.add("error", "disk", f"{there} cannot be written")
