"""The optional decoder decord, which other toolkits use."""

import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.reference import Reference
from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.registry import DECODERS


@DECODERS.register("decord")
class DecordDecoder:
    """The frames that PyAV finds, decoded by decord (from the package decord2).

    decord counts frames that an edit list hides (in clips cut without re-encoding). In MPEG-TS it
    loses the first frames and returns uninitialised memory for the last ones. It shows mirrored
    videos upside down. Such files are refused; PyAV reads them.

    Frames are decoded one by one from the start of the file. After a seek, decord counts wrongly in
    open GOPs. Its skipping gives up after 10,000 polls of its decoding thread, for example on a
    busy processor, and silently returns an earlier frame.
    """

    def __init__(self, path: str, decoding: Decoding, span: Any = None) -> None:
        decord = _import_decord()
        known = Reference.of(path, decoding)
        if "mpegts" in known.container:
            raise ValueError("decord loses the first pictures of MPEG-TS; use pyav")
        self._reader: Any = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
        self._reached = -1
        known.hold("decord", len(self._reader), self._picture(0))
        self.size, self.times, self.fps, self.end_s = known[:4]

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames at ``indices``, which exist, rise and do not repeat."""
        for index in indices:
            picture = self._picture(index)
            if picture.shape[:2] != self.size:
                raise ValueError(f"frame {index} is not of the first one's size")
            yield resized(picture, scaled_size(self.size, scale))

    def close(self) -> None:
        self._reader = None

    def _picture(self, index: int) -> NDArray[np.uint8]:
        """Frame ``index``, ``(H, W, 3)``."""
        if index <= self._reached:
            self._reader.seek_accurate(0)
            self._reached = -1
        while self._reached < index:
            stored = self._reader.next()
            self._reached += 1
        picture: NDArray[np.uint8] = stored.asnumpy()
        height, width = picture.shape[:2]
        # decord reads the padding after short rows of pixels as a fourth channel.
        return picture.reshape(height, -1)[:, : width * 3].reshape(height, width, 3)


def _import_decord() -> ModuleType:
    # By default, decord gives up on the last frames of a file after 10,240 polls.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", "1000000")
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    module: ModuleType = decord
    return module
