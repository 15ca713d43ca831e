"""Measures where the time of training goes: the parts of a step, and of a clip."""

import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.data.batches.clip_dataset import ClipDataset, Key
from cdb_video.data.batches.loading import Training
from cdb_video.data.decode import VideoReader
from cdb_video.data.frames.crops import decode_scale, random_crop
from cdb_video.data.frames.sampling import frame_range
from cdb_video.engine.prepare.data import clips_a_pass, make_loading
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.record.log import progress_bar
from cdb_video.engine.train.loop import train_one_epoch
from cdb_video.engine.train.plan import Progress
from cdb_video.engine.train.run import Run, prepare
from cdb_video.options import Config
from cdb_video.system.threads import usable_cores

WARM_UP = 3
"""Steps that do not count."""
NUM_CLIPS = 24
"""That are decoded in this process to see what one costs."""
MATRIX = {"cpu": 2048, "cuda": 8192}
"""Side of the matrices whose product shows what the device can do."""


@dataclass(frozen=True)
class Profile:
    """The measurements; times in seconds."""

    steps: int
    clips_a_step: int
    seconds: dict[str, float]
    """Of a step, by part: as ``Clock.seconds`` names them."""
    decode: float
    """Of a clip in one process: to open the file and to decode what is needed; 0 without files."""
    transform: float
    """Of a clip: to crop, scale and turn it."""
    teraflops: float
    """A second, of the network."""
    peak_teraflops: float
    """A second, of a matrix product in the same precision on the same device."""
    workers: int
    cores: int

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return sum(self.seconds.values())

    @property
    def utilisation(self) -> float:
        """Model FLOPs utilisation: the share of the device's peak in use, in [0, 1]."""
        return self.teraflops / self.peak_teraflops

    @property
    def workers_needed(self) -> int:
        """Number of workers that would keep up with the network."""
        busy = self.step - self.seconds["waiting"]
        return max(1, math.ceil((self.decode + self.transform) * self.clips_a_step / busy))

    def verdict(self) -> str:
        """The bottleneck, and what to try, in one line."""
        waits = self.seconds["waiting"] / self.step
        if waits > 0.1 and self.decode:
            said = f"it waits for data {100 * waits:.0f} % of the time: "
            needed, there = self.workers_needed, max(1, self.cores - 1)
            if self.workers < min(needed, there):
                said += f"try DATA_LOADER.NUM_WORKERS {min(needed, there)}"
                if needed > there:
                    said += f" ({needed} would keep up, cores are {self.cores}), and pack-data"
                return said
            return said + "its cores all decode, so make that cheaper with pack-data"
        if self.seconds["rest"] > 0.1 * self.step:
            return f"bookkeeping takes {100 * self.seconds['rest'] / self.step:.0f} % of the time"
        works = 100 * (self.seconds["forward"] + self.seconds["backward"]) / self.step
        return (
            f"the network takes {works:.0f} % of the time, at {100 * self.utilisation:.0f} % of "
            "what the device can do: try TRAIN.PRECISION auto"
        )


class _Few(BatchLoader):
    """The first batches of a loader."""

    def __init__(self, loader: BatchLoader, count: int) -> None:
        self._loader, self._count = loader, min(count, len(loader))

    def __len__(self) -> int:
        return self._count

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """As in ``BatchLoader``."""
        return islice(self._loader.batches(epoch, first), self._count)


def profile_run(config: Config, steps: int, trace: Path | None = None) -> Profile:
    """Trains ``steps`` steps of ``config`` in a folder that is deleted afterwards.

    Args:
        steps: at most one epoch.
        trace: path of a trace of three more steps by torch's profiler, for ``chrome://tracing``
            or Perfetto.

    Raises:
        CdbVideoError: as ``train``.
    """
    device = choose_device(config)
    with tempfile.TemporaryDirectory() as folder:
        own = replace(
            config,
            output_dir=folder,
            logger=(),
            train=replace(config.train, auto_resume=False, checkpoint_minutes=0.0),
        )
        run = prepare(own, device)
        _train(run, WARM_UP, "warming up")
        seen, seconds = _train(run, steps, "profiling")
        busy = seconds["forward"] + seconds["backward"]
        flops = _flops(run, own) * config.solver.accumulation_steps
        if trace:
            _trace(run, trace)
        decode, transform = _clip_seconds(run, own)
    return Profile(
        steps=seen,
        clips_a_step=clips_a_pass(config) * config.solver.accumulation_steps,
        seconds=seconds,
        decode=decode,
        transform=transform,
        teraflops=flops / busy / 1e12,
        peak_teraflops=_peak(device, run.learner.model.precision) / 1e12,
        workers=config.data_loader.num_workers,
        cores=usable_cores(),
    )


def _train(run: Run, steps: int, task: str) -> tuple[int, dict[str, float]]:
    """Trains the first steps of an epoch; returns their number and the seconds of each part."""
    plan = run.plan
    loader = _Few(plan.train_loader, steps * plan.accumulation_steps)
    num_steps = -(-len(loader) // plan.accumulation_steps)
    plan = replace(plan, train_loader=loader, steps_per_epoch=num_steps)
    with progress_bar(run.recorder.screen) as bar:
        bar.add_task(task, total=num_steps)
        train_one_epoch(run._replace(plan=plan), Progress(), bar)
    spent = run.recorder.clock.seconds()
    del spent["whole"]
    return num_steps, {part: seconds / num_steps for part, seconds in spent.items()}


def _example(run: Run, config: Config) -> torch.Tensor:
    shape = (clips_a_pass(config), 3, config.data.num_frames)
    side = config.data.crop_size
    return torch.zeros(*shape, side, side, dtype=torch.uint8, device=run.plan.device)


def _flops(run: Run, config: Config) -> float:
    """FLOPs of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        run.learner.model(_example(run, config)).float().sum().backward()
    run.learner.optimizer.zero_grad()
    return float(counter.get_total_flops())


def _peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a large matrix product."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    side, times = MATRIX[device.type], []
    one = torch.ones(side, side, dtype=dtype, device=device)
    for _ in range(4):
        begin = time.perf_counter()
        one @ one
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return float(2 * side**3 / min(times))


def _clip_seconds(run: Run, config: Config) -> tuple[float, float]:
    """Seconds to decode a clip, and to transform it, in this process."""
    records = run.plan.task.splits["train"].files
    if not len(records):
        return 0.0, 0.0
    loading = make_loading(config, 1, torch.device("cpu"))
    training = Training(
        sampler=run.learner.sampler,
        augmentation=config.aug,
        class_names=run.plan.task.splits.class_names,
        seed=config.rng_seed,
    )
    dataset = ClipDataset(records, loading, training)
    whole, decode = [], []
    for number in np.linspace(0, len(records) - 1, NUM_CLIPS).astype(int).tolist():
        begin = time.perf_counter()
        dataset[Key(1, number, 0)]
        whole.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        _decode(dataset, number, np.random.default_rng(number))
        decode.append(time.perf_counter() - begin)
    # The first clip also loads libraries and fills the disk cache.
    return mean(decode[1:]), max(0.0, mean(whole[1:]) - mean(decode[1:]))


def _decode(dataset: ClipDataset, number: int, rng: Any) -> None:
    record = dataset.records[number]
    span = (record.start, record.end)
    with VideoReader(record.path, dataset.decoding, span) as video:
        first, last = frame_range(video.times, video.end_s, *span)
        wanted = np.unique(dataset.sampling.indices(first, last, rng=rng, times=video.times))
        crop = random_crop(*video.size, dataset.size, dataset.augmentation, rng)  # type: ignore[arg-type]
        for _ in video.stream(wanted, decode_scale(crop, dataset.size)):
            pass


def _trace(run: Run, path: Path) -> None:
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU]
    if run.plan.device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as seen:
        _train(run, 3, "tracing")
    seen.export_chrome_trace(str(path))
