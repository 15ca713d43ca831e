"""Clips a second of one core: raw files, packed ones, JPEGs, what others do, and the floor.

``python benchmarks/input.py``; all sides take turns in one process, five rounds of process time.
Clips of 640x480 H.264 with 84 frames, of which 10 are wanted, cropped at random to 224.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from made_clips import make_clips

from cdb_video.data.batches.clip_dataset import ClipDataset, Key
from cdb_video.data.batches.loading import Loading, Training
from cdb_video.data.decode import Decoding
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.lists.records import Record
from cdb_video.data.pack.packing import Packing, pack
from cdb_video.registry import SAMPLERS
from cdb_video.system.memory import keep_freed_memory

FRAMES, SIZE, CLIPS, ROUNDS = 10, 224, 6, 5
Side = Callable[[int], Any]


def ours(paths: list[str], decoding: Decoding | None = None) -> Side:
    labels = np.zeros(len(paths), np.int64)
    shuffle: Any = SAMPLERS.get("shuffle")
    sampler = shuffle(shuffle.Options(), labels=labels, num_classes=1, seed=0)
    training = Training(sampler=sampler, augmentation=Augmentation(), class_names=["a"], seed=0)
    sampling = ClipSampling(FRAMES)
    loading = Loading(sampling=sampling, size=SIZE, batch_size=1, decoding=decoding or Decoding())
    dataset = ClipDataset([Record(path, 0) for path in paths], loading, training)
    return lambda number: dataset[Key(number // len(paths), number % len(paths), 0)]


def bare(paths: list[str], skip: bool, convert: bool = False) -> Side:
    """Decodes to the last wanted frame, and crops and gives nothing.

    Args:
        skip: what no other frame refers to is left out unless it is wanted, as far as is possible.
        convert: the wanted frames become RGB.
    """

    def side(number: int) -> None:
        to_rgb = VideoReformatter()
        with av.open(paths[number % len(paths)]) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.codec_context.thread_count = "NONE", 1
            ticks = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
            edges = np.linspace(0, len(ticks), FRAMES + 1)
            wanted = {ticks[int((a + b) / 2)] for a, b in zip(edges, edges[1:], strict=False)}
            container.seek(0, stream=stream)
            left = set(wanted)
            for packet in container.demux(stream):
                if skip:
                    keep = packet.pts is None or packet.pts in wanted
                    stream.codec_context.skip_frame = "DEFAULT" if keep else "NONREF"
                for frame in packet.decode():
                    if convert and frame.pts in left:
                        to_rgb.reformat(frame, format="rgb24", threads=1)
                    left.discard(frame.pts)
                if not left:
                    return

    return side


def everything(paths: list[str]) -> Side:
    """All frames to RGB, each resized and cropped, ten of them kept: what is done before there is
    a decoder that seeks."""

    def side(number: int) -> Any:
        with av.open(paths[number % len(paths)]) as container:
            container.streams.video[0].thread_type = "NONE"
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        small = [cv2.resize(frame, (341, 256))[16:240, 50:274] for frame in frames]
        return np.stack(small[:: len(small) // FRAMES][:FRAMES])

    return side


def write_jpegs(paths: list[str], folder: Path) -> list[list[Path]]:
    found = []
    for number, path in enumerate(paths):
        with av.open(path) as container:
            pictures = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
        names = [folder / f"{number}_{step:05d}.jpg" for step in range(len(pictures))]
        for name, picture in zip(names, pictures, strict=True):
            cv2.imwrite(str(name), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        found.append(names)
    return found


def jpegs(names: list[list[Path]]) -> Side:
    """Ten extracted JPEGs, decoded, resized and cropped."""

    def side(number: int) -> Any:
        one = names[number % len(names)]
        some = one[:: len(one) // FRAMES][:FRAMES]
        pictures = [cv2.imread(str(name)) for name in some]
        return np.stack([cv2.resize(p, (341, 256))[16:240, 50:274, ::-1] for p in pictures])

    return side


def size_of(paths: Any) -> int:
    return sum(Path(path).stat().st_size for path in paths)


def main() -> None:
    cv2.setNumThreads(0)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = make_clips(folder, CLIPS)
        packed = [folder / f"packed{n}.mp4" for n in range(CLIPS)]
        psnr = [
            pack(Record(p, 0), o, Packing(), Decoding()).psnr
            for p, o in zip(raw, packed, strict=True)
        ]
        pictures = write_jpegs(raw, folder)
        sides = {
            "raw": ours(raw),
            "raw, no loop filter": ours(raw, Decoding(skip_loop_filter=True)),
            "packed": ours([str(path) for path in packed]),
            "decode alone, no frame skipped": bare(raw, skip=False),
            "decode alone": bare(raw, skip=True),
            "decode alone, wanted frames to RGB": bare(raw, skip=True, convert=True),
            "all frames": everything(raw),
            "jpeg": jpegs(pictures),
        }
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(ROUNDS):
            for side, work in sides.items():
                begin = time.process_time()
                for number in range(2 * CLIPS):
                    work(number)
                seconds[side].append((time.process_time() - begin) / (2 * CLIPS))
        gains: dict[str, float] = {}
        for side, values in seconds.items():
            ratios = [a / b for a, b in zip(seconds["raw"], values, strict=True)]
            gains[side] = statistics.median(ratios)
            print(
                f"{side}: {1000 * statistics.median(values):.1f} ms a clip, {gains[side]:.2f} times"
                f" as fast as raw ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        sizes = size_of(raw), size_of(packed), size_of(n for some in pictures for n in some)
        print(f"bytes: raw {sizes[0]:,}, packed {sizes[1]:,}, JPEG {sizes[2]:,}")
        print(f"lowest PSNR of packed frames: {min(psnr):.1f} dB")
    facts = {
        "input_speedup": 1 / gains["all frames"],
        "input_over_bare_decode": gains["decode alone"],
        "pack_speedup": gains["packed"],
        "pack_bytes_ratio": sizes[1] / sizes[0],
    }
    print(json.dumps({key: round(value, 3) for key, value in facts.items()}))


if __name__ == "__main__":
    main()
