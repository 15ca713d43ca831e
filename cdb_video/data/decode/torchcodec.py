"""The optional decoder TorchCodec: PyTorch's own, which uses the system's FFmpeg."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.reference import Reference
from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.errors import ConfigError
from cdb_video.registry import DECODERS

CHUNK = 64
"""Frames decoded at a time."""
SAME_S = 1e-3
"""Seconds by which the time of a frame may differ."""


@DECODERS.register("torchcodec")
class TorchCodecDecoder:
    """The frames that PyAV finds, decoded by TorchCodec.

    It needs the version of the package torchcodec that fits torch, and FFmpeg's libraries. A frame
    is requested by its number and checked by its time: in files that were cut without re-encoding,
    in MPEG-TS and in some AVI, TorchCodec 0.13 returns later frames. Such files are refused, and
    mirrored ones, too; PyAV reads them.
    """

    def __init__(self, path: str, decoding: Decoding, span: Any = None) -> None:
        _import_torchcodec()  # before the file is blamed
        known = Reference.of(path, decoding)
        self.size, self.times, self.fps, self.end_s = known[:4]
        self._reader = self._open(
            path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        facts = self._reader.metadata
        self._begin_s = float(facts.begin_stream_seconds or 0)
        known.hold("torchcodec", int(facts.num_frames or 0), self._pictures([0])[0])

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames at ``indices``, which exist, rise and do not repeat."""
        for begin in range(0, len(indices), CHUNK):
            for picture in self._pictures(indices[begin : begin + CHUNK]):
                yield resized(picture, scaled_size(self.size, scale))

    def close(self) -> None:
        self._reader = None

    def _open(self, path: str, **options: Any) -> Any:
        return _import_torchcodec().VideoDecoder(path, **options)

    def _pictures(self, indices: list[int]) -> NDArray[np.uint8]:
        """``(T, H, W, 3)``. Raises ``ValueError`` if they are not the frames at ``indices``."""
        found = self._reader.get_frames_at(indices)
        given = found.pts_seconds.cpu().numpy() - self._begin_s
        wrong = np.abs(given - (self.times[indices] - self.times[0])) > SAME_S
        if wrong.any():
            index = indices[wrong.argmax()]
            raise ValueError(f"torchcodec gives another frame as number {index}; use pyav")
        pictures: NDArray[np.uint8] = found.data.cpu().numpy()
        return pictures


def _import_torchcodec() -> ModuleType:
    try:
        from torchcodec import decoders
    except (ImportError, OSError, RuntimeError) as error:  # its libraries may be missing
        reason = " ".join(str(error).split())[:160]
        raise ConfigError(
            "DATA.DECODER torchcodec needs FFmpeg and pip install 'cdb_video[torchcodec]': "
            f"{reason}"
        ) from None
    module: ModuleType = decoders
    return module
