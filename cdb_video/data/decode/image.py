"""Decodes image files with OpenCV: a video of one frame."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


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
        height, width = (max(1, round(side * scale)) for side in self.size)
        picture = self._picture
        if (height, width) != self.size:
            interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            picture = cv2.resize(picture, (width, height), interpolation=interpolation)
        return np.asarray(picture, np.uint8)[None]

    def close(self) -> None:
        """Nothing is open."""
