"""What a decoding process comes to hold: heap that stays after 10,000 clips, and pages that the
garbage collector copies. ``python benchmarks/workers.py [N]``; a few minutes.

Each side runs in processes of its own, in turn, five rounds: clips of 320x240 H.264 made on the
spot, 10 frames of 224 pixels each, and a list of a million records in the parent.
"""

import gc
import json
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from cdb_video.data.batches import clip_dataset, workers
from cdb_video.data.batches.clip_dataset import ClipDataset, Key
from cdb_video.data.batches.loading import Loading
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.lists.records import Record
from cdb_video.system.memory import keep_freed_memory

ROUNDS = 5
STEP = clip_dataset.TRIM_EVERY
WARM_UP = 2
"""Times ``STEP`` clips, in which the heap finds its size."""


def private_mb() -> float:
    """Memory of this process that it shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def clips(folder: Path) -> list[Record]:
    rng = np.random.default_rng(0)
    records = []
    for number, frames in enumerate((60, 84, 110)):
        path = folder / f"{number}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(24))
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            picture = rng.integers(0, 256, (240, 320, 3), np.uint8)
            for step in range(frames):
                moved = np.roll(picture // 2 + 60, 3 * step, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, "rgb24")))
            container.mux(stream.encode())
        records.append(Record(str(path), 0))
    return records


def heap(records: list[Record], rounds: int, every: int) -> float:
    """MB that stay after ``rounds`` times ``STEP`` clips, of 10,000, once ``WARM_UP`` are done."""
    keep_freed_memory()
    clip_dataset.TRIM_EVERY = every
    dataset = ClipDataset(records, Loading(sampling=ClipSampling(10), size=224, batch_size=1))
    held = []
    for _ in range(WARM_UP + rounds):
        for number in range(STEP):
            dataset[Key(0, number % len(records), 0)]
        held.append(private_mb())
    return (held[-1] - held[WARM_UP - 1]) * 10_000 / (rounds * STEP)


def collected(start: Callable[[], Any]) -> float:
    """MB that a collection copies in a process that ``start`` has begun."""
    start()
    before = private_mb()
    gc.collect()
    return private_mb() - before


def apart(work: Callable[..., float], *arguments: Any) -> float:
    """``work`` in a forked process of its own."""
    context = multiprocessing.get_context("fork")
    ends = context.Pipe(duplex=False)
    process = context.Process(target=lambda: ends[1].send(work(*arguments)))
    process.start()
    found: float = ends[0].recv()
    process.join()
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found: dict[str, list[float]] = {name: [] for name in ("kept", "trimmed", "copied", "frozen")}
    million = [Record(f"clip {number}", number % 10) for number in range(1_000_000)]
    with tempfile.TemporaryDirectory() as folder:
        records = clips(Path(folder))
        for _ in range(ROUNDS):
            found["kept"].append(apart(heap, records, count, 1 << 40))
            found["trimmed"].append(apart(heap, records, count, STEP))
            found["copied"].append(apart(collected, lambda: None))
            found["frozen"].append(apart(collected, workers.keep_apart))
            print({name: round(values[-1], 1) for name, values in found.items()}, flush=True)
    print(f"{len(million):,} records in the parent, {count * STEP} clips each, {ROUNDS} rounds")
    for name, values in found.items():
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(f"{name}: {statistics.median(values):.1f} MB ({spread})")
    print(json.dumps({"worker_mb_per_10k_clips": round(statistics.median(found["trimmed"]), 1)}))


if __name__ == "__main__":
    main()
