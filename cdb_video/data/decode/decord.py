"""Decodes with decord, by choice: what other toolkits use, with other frames than a player's."""

import os
from bisect import bisect_right
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.packets import starts_s
from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.registry import DECODERS


@DECODERS.register("decord")
class DecordDecoder:
    """The frames as decord (from the package decord2) numbers them.

    Beware of clips cut without re-encoding (``ffmpeg -ss ... -c copy``): they keep hidden frames
    from the keyframe before the cut, which an edit list tells players to skip. decord counts
    them. After a seek its indices include them, in a run they do not, and the last ones give
    memory that was never written. Such a file is refused; PyAV reads it. decord also takes the
    rest of a file that was cut short for the whole, and shows mirrored videos upside down.

    Frames are reached by a seek to a keyframe and then one by one: decord's own way of skipping
    gives up after 10,000 polls of its decoding thread and silently returns an earlier frame,
    which happens as soon as the processor is busy.
    """

    def __init__(self, path: str, decoding: Decoding, span: Any = None) -> None:
        decord = _import_decord()
        # Of a missing file decord says no more than that it cannot be read.
        os.stat(path)
        self._reader: Any = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
        num_frames = len(self._reader)
        if not num_frames:
            raise ValueError("no frame decodes")
        decoding.check_length(num_frames)
        self._keys: list[int] = self._reader.get_key_indices()
        self._reached = -1
        height, width = self._picture(0).shape[:2]
        self.size = (height, width)
        shown = self._reader.get_frame_timestamp(range(num_frames)).astype(np.float64)
        if shown[0, 0] < 0:
            raise ValueError("it hides frames before its start, which decord misnumbers; use pyav")
        start_s, first_s = starts_s(path)  # for decord time begins with the first picture
        shown += first_s - start_s
        self.times: NDArray[np.float64] = shown[:, 0]
        self.end_s = float(shown[-1, 1])
        rate, length = float(self._reader.get_avg_fps()), float(self.times[-1] - self.times[0])
        self.fps = (num_frames - 1) / length if num_frames > 1 else rate

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """The frames at ``indices``, which rise, do not repeat and exist, one by one."""
        for index in indices:
            picture = self._picture(index)
            if picture.shape[:2] != self.size:
                raise ValueError(f"frame {index} is not of the first one's size")
            yield resized(picture, scaled_size(self.size, scale))

    def close(self) -> None:
        self._reader = None

    def _picture(self, index: int) -> NDArray[np.uint8]:
        """Frame ``index``, ``(H, W, 3)``."""
        key = self._keys[max(0, bisect_right(self._keys, index) - 1)]
        if key > self._reached + 1 or index <= self._reached:
            self._reader.seek_accurate(key)
            self._reached = key - 1
        while self._reached < index:
            stored = self._reader.next()
            self._reached += 1
        picture: NDArray[np.uint8] = stored.asnumpy()
        height, width = picture.shape[:2]
        # decord takes the padding behind short rows of pixels for a fourth channel.
        return picture.reshape(height, -1)[:, : width * 3].reshape(height, width, 3)


def _import_decord() -> ModuleType:
    # By default decord gives up on the last frames of a file after 10,240 polls.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", "1000000")
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    module: ModuleType = decord
    return module
