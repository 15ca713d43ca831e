"""Prepares clips for training: re-encodes each one small and quick to decode, and checks it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.data.encode import write_mp4
from cdb_video.data.frames.sampling import frame_range
from cdb_video.data.lists.records import Record
from cdb_video.errors import DecodeError
from cdb_video.system.file_kinds import is_image
from cdb_video.system.files import replacing

COMPARED = 5
"""Frames of a clip whose pixels are compared."""
TOLERANCE = 1e-3
"""Seconds that the time of a frame may be off."""
LEAST_PSNR = 20.0
"""Decibels; another picture has less, one full of noise may have little more."""


@dataclass(frozen=True)
class Packing:
    """How clips are encoded."""

    side: int = 256
    """Shorter side in pixels; smaller clips keep theirs."""
    key_frames: int = 8
    """Frames from one that can be decoded by itself to the next."""
    crf: int = 26
    """Quality of x264, 0 to 51: lower is better and larger."""

    def options(self) -> dict[str, str]:
        """Options of x264. No frame refers to five of eight frames, so a reader may skip them. No
        filter runs after decoding. All frames have the same quality (no mbtree): a reader may need
        any of them. Weighting for changing light (weightp, weightb) costs no decoding time."""
        group = str(self.key_frames)
        return {
            "crf": str(self.crf),
            "g": group,
            "keyint_min": group,
            "sc_threshold": "0",
            "tune": "fastdecode",
            "bf": "3",
            "x264-params": "b-adapt=0:b-pyramid=none:open-gop=0:weightp=2:weightb=1:mbtree=0",
        }

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width), even, of a clip of ``size``."""
        scale = min(1.0, self.side / min(size))
        height, width = (max(2, 2 * round(side * scale / 2)) for side in size)
        return height, width


class Packed(NamedTuple):
    """The result for one clip."""

    frames: int
    psnr: float
    """Decibels, the lowest of the frames compared; infinite for a copy."""
    bytes_before: int
    """Of the whole file that the clip lies in."""
    bytes_after: int


def pack(record: Record, out: Path, packing: Packing, decoding: Decoding) -> Packed:
    """Writes one clip to ``out``, without sound, after checking that it is the same.

    It has the frames on screen from ``record.start`` to ``record.end``, upright, at their times,
    counted from the first. An image is copied.

    Raises:
        DecodeError: it cannot be decoded, or the written file has other frames.
        DataError: it lies outside its file.
    """
    source = Path(record.path)
    files = source.iterdir() if source.is_dir() else [source]
    before = sum(path.stat().st_size for path in files)
    out.parent.mkdir(parents=True, exist_ok=True)
    if is_image(record.path):
        with replacing(out) as partial:
            copy2(record.path, partial)
        return Packed(1, float("inf"), before, before)
    span = (record.start, record.end)
    with VideoReader(record.path, decoding, span) as video, replacing(out) as partial:
        first, last = frame_range(video.times, video.end_s, *span)
        times, size = video.times[first:last], packing.size(video.size)
        chosen = np.unique(np.linspace(0, len(times) - 1, COMPARED).round().astype(int))
        kept: dict[int, Any] = {}

        def pictures() -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
            every = video.stream(np.arange(first, last))
            for number, (second, picture) in enumerate(zip(times.tolist(), every, strict=True)):
                if number in chosen:
                    kept[number] = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
                yield second, picture

        write_mp4(partial, pictures(), video.fps, size, packing.options())
        psnr = _lowest_psnr(partial, times - times[0], kept, decoding, record.path)
        return Packed(len(times), psnr, before, partial.stat().st_size)


def _lowest_psnr(
    path: Path,
    times: npt.NDArray[np.float64],
    expected: dict[int, npt.NDArray[np.uint8]],
    decoding: Decoding,
    source: str,
) -> float:
    """The lowest PSNR of the frames ``expected``. Raises ``DecodeError`` if a file differs."""
    with VideoReader(str(path), decoding) as video:
        if video.num_frames != len(times):
            fault = f"{video.num_frames} frames instead of {len(times)}"
            raise DecodeError(f"{source}: the packed file has {fault}")
        off = float(np.abs(video.times - video.times[0] - times).max())
        if off > TOLERANCE:
            raise DecodeError(f"{source}: the packed file has a frame that is {off:.4f} s off")
        got = video.frames([*expected])
    errors = [
        np.square(one.astype(np.float64) - other).mean()
        for one, other in zip(got, expected.values(), strict=True)
    ]
    psnr = float(10 * np.log10(255**2 / max(*errors, 1e-9)))
    if psnr < LEAST_PSNR:
        raise DecodeError(
            f"{source}: the packed file has a picture that differs too much, PSNR {psnr:.1f} dB"
        )
    return psnr
