"""Decodes image files with OpenCV: a video of one frame."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.resize import resized_into, scaled_size


class ImageDecoder:
    """The picture in a file, upright as its EXIF orientation says.

    Grey becomes RGB, 16 bits become 8, and transparency is dropped. Of an animation it is the first
    frame.
    """

    fps = 1.0
    """Of no meaning: there is one frame."""

    def __init__(self, path: str) -> None:
        # From memory, as OpenCV gives half a picture and no error for a file that was cut short.
        content = np.frombuffer(Path(path).read_bytes(), np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        if picture is None:
            raise ValueError("no image that OpenCV can decode, or it is cut short or damaged")
        self._picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        self.size = (height, width)
        self.times: NDArray[np.float64] = np.zeros(1)

    def frames(self, indices: list[int], scale: float) -> NDArray[np.uint8]:
        """The picture, at its one index."""
        size = scaled_size(self.size, scale)
        if size == self.size:
            return np.asarray(self._picture, np.uint8)[None]
        pictures = np.empty((1, *size, 3), np.uint8)
        resized_into(np.asarray(self._picture, np.uint8), pictures[0])
        return pictures

    def close(self) -> None:
        """Nothing is open."""
