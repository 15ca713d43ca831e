"""Decoders that are installed, side by side: ms a clip, and how far their pictures are from PyAV's.

``python benchmarks/decoders.py [FILE ...]`` (default: the clips of input.py); ten frames of each
file are wanted, at its own size. All take turns in one process, five rounds; then each frame of
each file is compared, in levels of 0 to 255.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from made_clips import make_clips

from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.errors import ConfigError
from cdb_video.registry import DECODERS
from cdb_video.system.memory import keep_freed_memory

FRAMES, ROUNDS, FIRST = 10, 5, "pyav"


def installed(path: str) -> list[str]:
    """Names of the decoders that open a file here, PyAV first."""
    names = [FIRST]
    for name in DECODERS.names():
        if name == FIRST or (name == "torchcodec_cuda" and not torch.cuda.is_available()):
            continue
        try:
            VideoReader(path, Decoding(decoder=name)).close()
        except ConfigError as error:
            print(f"{name} is left out: {error}", flush=True)
        else:
            names.append(name)
    return names


def read(path: str, decoder: str) -> None:
    with VideoReader(path, Decoding(decoder=decoder)) as video:
        video.frames(np.linspace(0, video.num_frames - 1, FRAMES).astype(int))


def seconds_a_clip(paths: list[str], names: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Decoder -> (seconds, processor seconds) of each round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for round_ in range(ROUNDS + 1):
        for name in names:
            begin = time.perf_counter(), time.process_time()
            for path in paths:
                read(path, name)
            end = time.perf_counter(), time.process_time()
            if round_:  # the first warms up
                wall, busy = ((b - a) / len(paths) for a, b in zip(begin, end, strict=True))
                found[name].append((wall, busy))
    return found


def difference(paths: list[str], name: str) -> dict[str, float]:
    """Of frames and times, from those that PyAV gives."""
    means, most, late = [], 0, 0.0
    for path in paths:
        with VideoReader(path, Decoding(decoder=name)) as a, VideoReader(path) as b:
            late = max(late, float(np.abs(a.times - b.times).max()))
            every = np.arange(len(b.times))
            for ours, theirs in zip(a.stream(every), b.stream(every), strict=True):
                levels = np.abs(ours.astype(np.int16) - theirs)
                means.append(float(levels.mean()))
                most = max(most, int(levels.max()))
    return {"mean": statistics.mean(means), "worst_frame": max(means), "most": most, "s": late}


def main() -> None:
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        paths = sys.argv[1:] or make_clips(Path(folder), 6)
        names = installed(paths[0])
        seconds = seconds_a_clip(paths, names)
        facts: dict[str, dict[str, float]] = {}
        for name in names:
            walls, busy = zip(*seconds[name], strict=True)
            ratios = [a / b for (a, _), b in zip(seconds[FIRST], walls, strict=True)]
            facts[name] = {
                "ms": 1000 * statistics.median(walls),
                "processor_ms": 1000 * statistics.median(busy),
                "speedup": statistics.median(ratios),
                "from": min(ratios),
                "to": max(ratios),
                **difference(paths, name),
            }
            facts[name] = {key: round(value, 3) for key, value in facts[name].items()}
            print(name, *(f"{key} {value}" for key, value in facts[name].items()), flush=True)
    print(json.dumps({"decoders": facts}))


if __name__ == "__main__":
    main()
