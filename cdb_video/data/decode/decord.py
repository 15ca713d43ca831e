"""Decodes with decord, by choice: quick to seek, but it does not present what a player does."""

import os
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cdb_video.errors import ConfigError


class DecordDecoder:
    """The frames as decord (from the package decord2) numbers them.

    Beware: decord ignores edit lists. A cut made without re-encoding (``ffmpeg -ss ... -c copy``)
    keeps hidden frames from the keyframe before the cut; decord returns them, at the front and
    numbered from 0, so that every later frame has another index than in a player or with PyAV.
    Re-encode such clips or stay with PyAV.
    """

    def __init__(self, path: str) -> None:
        decord = _import_decord()
        # decord itself says no more than "Error reading" about a missing file.
        os.stat(path)
        self._reader: Any = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
        num_frames = len(self._reader)
        if not num_frames:
            raise ValueError("no frame decodes")
        height, width = self._reader[0].asnumpy().shape[:2]
        self.size = (int(height), int(width))
        starts = self._reader.get_frame_timestamp(range(num_frames))[:, 0].astype(np.float64)
        self.times: NDArray[np.float64] = starts - starts[0]
        rate = float(self._reader.get_avg_fps())
        self.fps = (num_frames - 1) / float(self.times[-1]) if num_frames > 1 else rate

    def frames(self, indices: list[int], scale: float) -> NDArray[np.uint8]:
        """The frames at ``indices``, which rise, do not repeat and exist."""
        height, width = (max(1, round(side * scale)) for side in self.size)
        if not indices:
            return np.empty((0, height, width, 3), np.uint8)
        pictures: NDArray[np.uint8] = self._reader.get_batch(indices).asnumpy()
        if (height, width) == self.size:
            return pictures
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = [
            cv2.resize(picture, (width, height), interpolation=interpolation)
            for picture in pictures
        ]
        return np.stack(resized)

    def close(self) -> None:
        self._reader = None


def _import_decord() -> ModuleType:
    # decord repeats a read at the end of a damaged file 10,240 times unless told otherwise.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", "64")
    os.environ.setdefault("DECORD_REWIND_RETRY_MAX", "2")
    try:
        import decord
    except ImportError as error:
        raise ConfigError(
            f"DATA.DECODER decord needs the package decord2 (pip install decord2): {error}"
        ) from None
    module: ModuleType = decord
    return module
