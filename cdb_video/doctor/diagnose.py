"""The whole diagnosis of a config."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from rich.console import Console

from cdb_video.data.batches.loading import Loading, Share
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.lists.splits import Splits, max_bad
from cdb_video.doctor.environment import check_disk, check_environment, check_shared_memory
from cdb_video.doctor.findings import Diagnosis, Level, such_as
from cdb_video.doctor.leaks import check_duplicates, check_leaks
from cdb_video.doctor.probing import Probe, probe
from cdb_video.engine.prepare.data import make_train_loader, tolerated
from cdb_video.engine.prepare.device import choose_device
from cdb_video.engine.prepare.model import new_model
from cdb_video.engine.prepare.objective import make_sampler
from cdb_video.engine.record.log import progress_bar
from cdb_video.errors import CdbVideoError
from cdb_video.options import Config
from cdb_video.outputs import Outputs
from cdb_video.registry import DATASETS

TIMED_CLIPS = 8
"""That the time of an epoch is estimated from."""


def diagnose(config: Config, *, deep: bool, workers: int, screen: Console) -> Diagnosis:
    """Checks the machine, the lists and every clip.

    Args:
        deep: decode all frames, not three of each clip.
        workers: processes that decode.
        screen: shows a progress bar.
    """
    diagnosis = Diagnosis()
    check_environment(config, diagnosis)
    check_shared_memory(config, diagnosis)
    try:
        dataset = DATASETS.get(config.data.name)(config.data.options)
        names = dataset.splits_there(
            lambda name, error: diagnosis.add("warning", "lists", f"no {name} split: {error}")
        )
        splits = Splits(dataset, names)
    except CdbVideoError as error:
        diagnosis.add("error", "lists", str(error))
        return diagnosis
    check_disk(config, len(splits.class_names), diagnosis)
    check_classes(splits, names, diagnosis)
    sources = {name: [dataset.source(record) for record in splits[name].records] for name in names}
    check_leaks(sources, diagnosis)
    probes = _probe_all(config, splits, names, deep, workers, screen)
    for name, found in probes.items():
        check_clips(config, name, found, diagnosis)
    check_pictures([one for found in probes.values() for one in found if not one.error], diagnosis)
    paths = {name: [record.path for record in splits[name].records] for name in probes}
    check_duplicates(probes, paths, diagnosis)
    if not diagnosis.has_errors:
        estimate_epoch(config, splits, diagnosis)
    return diagnosis


def check_classes(splits: Splits, names: Sequence[str], diagnosis: Diagnosis) -> None:
    """Sizes of splits and classes, and classes that a split lacks."""
    classes = splits.class_names
    counts = {name: splits.counts(name) for name in names}
    diagnosis.numbers["clips"] = {
        name: dict(zip(classes, count.tolist(), strict=True)) for name, count in counts.items()
    }
    sizes = ", ".join(f"{int(count.sum()):,} {name}" for name, count in counts.items())
    train = counts["train"][counts["train"] > 0]
    ratio = train.max() / train.min()
    text = (
        f"{sizes} clips of {len(classes)} classes; the largest class has {train.max():,} training "
    )
    diagnosis.add("ok", "classes", f"{text}clips, the smallest {train.min():,}: {ratio:.3g} to 1")
    for alike in _alike(classes):
        diagnosis.add("warning", "classes", f"classes differ in case or blanks alone: {alike}")
    for name in names:
        absent, hint = splits.absent_classes(name)
        if absent:
            text = f"{len(absent)} classes have no {name} clip{such_as(absent)}{hint}"
            diagnosis.add("warning", "classes", text)


def _alike(classes: Sequence[str]) -> list[str]:
    """Names that a reader takes for one, such as ``Walk, walk``."""
    found: dict[str, list[str]] = {}
    for name in classes:
        found.setdefault(" ".join(name.split()).casefold(), []).append(repr(name))
    return [", ".join(names) for names in found.values() if len(names) > 1]


def _probe_all(
    config: Config, splits: Splits, names: Sequence[str], deep: bool, workers: int, screen: Console
) -> dict[str, list[Probe]]:
    share = Share(
        num_workers=workers,
        clip_timeout=config.data_loader.clip_timeout * (10 if deep else 1),
        clip_memory=config.data_loader.clip_memory_mb << 20,
    )
    loading = Loading(
        sampling=config.data,
        size=8,
        batch_size=1,
        decoding=config.data,
        tolerant=True,
        share=share,
    )
    files = {name: splits[name].files for name in names}
    probes = {}
    with progress_bar(screen) as bar:
        task = bar.add_task("clips", total=sum(map(len, files.values())))
        for name, records in files.items():
            if records:
                probes[name] = probe(records, loading, deep, lambda: bar.advance(task))
    return probes


def check_clips(config: Config, name: str, probes: Sequence[Probe], diagnosis: Diagnosis) -> None:
    """Clips of a split that do not decode, and those that are shorter than a sample."""
    bad = [one.error for one in probes if one.error]
    diagnosis.numbers.setdefault("bad", {})[name] = bad
    if not bad:
        diagnosis.add("ok", "clips", f"all {len(probes):,} {name} clips open")
    else:
        allowed = tolerated(config)
        too_many = allowed is None or len(bad) > max_bad(allowed, len(probes))
        text = f"{len(bad)} of {len(probes):,} {name} clips are bad{such_as(bad)}"
        diagnosis.add("error" if too_many else "warning", "clips", text)
    needed = _frames_needed(config.data)
    short = sum(0 < one.num_frames < needed for one in probes)
    if short and max(one.num_frames for one in probes) > 1:
        text = (
            f"{short} {name} clips have fewer frames than the {needed} of a sample and repeat some"
        )
        diagnosis.add("warning", "clips", text)


def _frames_needed(sampling: ClipSampling) -> int:
    if sampling.sampling == "dense":
        return (sampling.num_frames - 1) * sampling.sampling_rate + 1
    return sampling.num_frames


def check_pictures(probes: Sequence[Probe], diagnosis: Diagnosis) -> None:
    """Frame rates and sizes, and whether they are mixed."""
    for topic, values in (
        ("frame rate", [f"{one.fps:.4g}" for one in probes]),
        ("size", [f"{one.width} x {one.height}" for one in probes]),
    ):
        kinds = Counter(values).most_common()
        if not kinds:
            continue
        shown = ", ".join(f"{kind} ({count:,} clips)" for kind, count in kinds[:4])
        more = f" and {len(kinds) - 4} others" if len(kinds) > 4 else ""
        level: Level = "ok" if len(kinds) == 1 or topic == "size" else "warning"
        diagnosis.add(level, topic, f"{shown}{more}")
        diagnosis.numbers[topic] = dict(kinds[:100])


def estimate_epoch(config: Config, splits: Splits, diagnosis: Diagnosis) -> None:
    """Estimates the time of an epoch. Loading and computing overlap."""
    sampler = make_sampler(config, splits)
    device = choose_device(config)
    own = replace(config, data_loader=replace(config.data_loader, num_workers=0))
    own = replace(own, train=replace(own.train, batch_size=own.solver.accumulation_steps * 2))
    try:
        loader = make_train_loader(own, splits, sampler, device)
        begun, clips = time.perf_counter(), 0
        for batch in loader.batches(1):
            clips += len(batch.label)
            if clips >= TIMED_CLIPS:
                break
        loading = (time.perf_counter() - begun) / clips
        model = new_model(config, Outputs(splits.class_names), device).train()
        moved = batch.to(device)
        for _ in range(2):  # the first includes set-up
            begun = time.perf_counter()
            model(moved.video).float().logsumexp(1).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            computing = (time.perf_counter() - begun) / len(batch.label)
    except (CdbVideoError, RuntimeError, ValueError) as error:
        diagnosis.add("error", "epoch", f"a first step fails: {error}")
        return
    workers = config.data_loader.num_workers
    each = max(loading / workers, computing) if workers else loading + computing
    minutes = each * len(sampler) / 60
    text = f"about {minutes:.3g} minutes of training: {1e3 * loading:.3g} ms to load a clip "
    text += f"({workers} workers), {1e3 * computing:.3g} ms to compute on {device.type}"
    diagnosis.add("ok", "epoch", text)
