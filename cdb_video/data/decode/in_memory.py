"""Pictures in memory, with the interface of an open video file."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.errors import DataError


class InMemoryVideo:
    """T pictures and when each comes.

    Args:
        pictures: (T, H, W, 3) uint8 RGB, an array or a tensor.
        fps: pictures a second; not used where ``times`` are given.
        times: (T,) seconds, rising.

    Raises:
        DataError: the pictures have another type or shape, or there are none.
    """

    path = "an array"

    def __init__(self, pictures: Any, fps: float, times: NDArray[np.float64] | None = None) -> None:
        array = np.asarray(pictures.cpu() if hasattr(pictures, "cpu") else pictures)
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or not array.size:
            raise DataError(
                f"a video must be a path or uint8 (T, H, W, 3) RGB, got {array.dtype} {array.shape}"
            )
        self._pictures: NDArray[np.uint8] = array
        self.fps = fps
        self.size: tuple[int, int] = (array.shape[1], array.shape[2])
        self.times: NDArray[np.float64] = np.arange(len(array)) / fps if times is None else times
        self.end_s = float(self.times[-1]) + 1 / fps

    def stream(
        self, indices: NDArray[np.integer[Any]], scale: float = 1.0
    ) -> Iterator[NDArray[np.uint8]]:
        """As of ``VideoReader``."""
        for index in indices.tolist():
            yield resized(self._pictures[index], scaled_size(self.size, scale))
