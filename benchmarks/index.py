"""How long a list of a million clips takes to load, and how much memory it holds.

``python benchmarks/index.py``; each round in a process of its own, beside one that only parses the
same CSV file with Python's own reader.
"""

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CLIPS, CLASSES, ROUNDS = 1_000_000, 400, 5


def held_mb() -> float:
    """Memory of this process in RAM."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


def write(folder: Path) -> None:
    for name, count in (("train.csv", CLIPS), ("val.csv", CLASSES)):
        with open(folder / name, "w", encoding="utf-8") as file:
            file.write("path,label\n")
            for n in range(count):
                label = n % CLASSES
                file.write(
                    f"class_{label:03d}/{name}_{n:07d}_000012_000022.mp4,class {label:03d}\n"
                )


def load(root: str) -> dict[str, float]:
    """One round: parse, load, find what is odd, order an epoch with each sampler."""
    import torch

    import cdb_video.options  # noqa: F401 - the samplers register
    from cdb_video.data.datasets.clips import Clips
    from cdb_video.data.lists.splits import Splits
    from cdb_video.registry import SAMPLERS

    begin = time.perf_counter()
    with open(f"{root}/train.csv", encoding="utf-8", newline="") as file:
        sum(1 for _ in csv.reader(file))
    parsed, before = time.perf_counter() - begin, held_mb()
    begin = time.perf_counter()
    splits = Splits(Clips(Clips.Options(root=root)), ["train", "val"])
    found = {"seconds": time.perf_counter() - begin, "mb": held_mb() - before, "parsed": parsed}
    begin = time.perf_counter()
    splits.oddities()
    found["oddities"] = time.perf_counter() - begin
    slowest = 0.0
    for name in SAMPLERS.names():
        kind, labels = SAMPLERS.get(name), splits.labels("train")
        sampler = kind(kind.Options(), labels=labels, num_classes=CLASSES, seed=0, num_epochs=2)
        sampler.observe(*torch.ones(2, CLASSES))
        begin = time.perf_counter()
        sampler.indices(1)
        slowest = max(slowest, time.perf_counter() - begin)
    return {**found, "slowest_epoch_order": slowest}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(load(sys.argv[1])))
        return
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        for _ in range(ROUNDS):
            words = [sys.executable, __file__, folder]
            rounds.append(json.loads(subprocess.run(words, check=True, capture_output=True).stdout))
    median = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    for name, value in median.items():
        values = [r[name] for r in rounds]
        print(f"{name}: {value:.2f} ({min(values):.2f} to {max(values):.2f})")
    ratio = np.median([r["seconds"] / r["parsed"] for r in rounds])
    print(f"loading takes {ratio:.1f} times the time of parsing alone")
    print(json.dumps({"index_1m_seconds": median["seconds"], "index_1m_mb": median["mb"]}))


if __name__ == "__main__":
    main()
