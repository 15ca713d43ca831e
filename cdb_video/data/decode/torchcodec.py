"""Decodes with TorchCodec, by choice: PyTorch's own decoder, over the system's FFmpeg."""

import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.packets import read_packet_table, start_of
from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.errors import ConfigError
from cdb_video.registry import DECODERS

CHUNK = 64
"""Frames decoded at a time."""


@DECODERS.register("torchcodec")
class TorchCodecDecoder:
    """Frames by TorchCodec's exact seeking, which shows what a player would.

    Needs the package torchcodec in the version that goes with torch, and FFmpeg's libraries.
    TorchCodec tells the time of a frame only with its pixels; where PyAV's packets announce as many
    frames, their times are taken instead.
    """

    def __init__(self, path: str, decoding: Decoding, span: Any = None) -> None:
        os.stat(path)  # TorchCodec says less of a missing file
        self._reader = self._open(
            path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        num_frames = int(self._reader.metadata.num_frames or 0)
        if not num_frames:
            raise ValueError("no frame decodes")
        decoding.check_length(num_frames)
        # Of the frame, not of the header: pictures may be turned.
        height, width = self._reader.get_frame_at(0).data.shape[:2]
        self.size = (int(height), int(width))
        self.times = self._times(path, num_frames, decoding)
        rate, length = float(self._reader.metadata.average_fps or 1), self.times[-1] - self.times[0]
        self.fps = (num_frames - 1) / float(length) if num_frames > 1 else rate
        last = self._reader.get_frame_at(num_frames - 1)
        self.end_s = float(self.times[-1]) + (float(last.duration_seconds) or 1 / self.fps)

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """The frames at ``indices``, which rise, do not repeat and exist, one by one."""
        for begin in range(0, len(indices), CHUNK):
            decoded = self._reader.get_frames_at(indices[begin : begin + CHUNK]).data.cpu().numpy()
            for picture in decoded:
                yield resized(picture, scaled_size(self.size, scale))

    def _open(self, path: str, **options: Any) -> Any:
        return _import_torchcodec().VideoDecoder(path, **options)

    def close(self) -> None:
        self._reader = None

    def _times(self, path: str, num_frames: int, decoding: Decoding) -> NDArray[np.float64]:
        """When each frame comes on screen, in seconds on the clock of players."""
        with av.open(path, metadata_errors="replace") as container:
            start = start_of(container)
            stream = container.streams.best("video")
            table = None
            if isinstance(stream, VideoStream):
                table = read_packet_table(container, stream, decoding)
            if table is not None and stream is not None and len(table.pts) == num_frames:
                ticks: NDArray[np.float64] = table.pts.astype(np.float64)
                return ticks * float(stream.time_base or 1) - start
        chunks = [
            self._reader.get_frames_in_range(start, min(start + CHUNK, num_frames)).pts_seconds
            for start in range(0, num_frames, CHUNK)
        ]
        times: NDArray[np.float64] = np.concatenate([chunk.numpy() for chunk in chunks])
        return times - start


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
