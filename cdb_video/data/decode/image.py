"""Decodes image files with OpenCV: a video of one frame."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.resize import resized, scaled_size

NO_IMAGE = "no image that OpenCV can decode, or it is cut short or damaged"


class ImageDecoder:
    """The picture in a file, upright as its EXIF orientation says.

    Grey becomes RGB, 16 bits become 8, and transparency is dropped. An animation gives its first
    frame.
    """

    fps = 1.0
    """Of no meaning: there is one frame."""
    end_s = 1.0

    def __init__(self, path: str, decoding: Decoding, span: Any = None) -> None:
        # Read from memory: OpenCV returns half a picture, without an error, for a truncated file.
        content = Path(path).read_bytes()
        _check_size(content, decoding.max_pixels)
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(NO_IMAGE)
        self._picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        self.size = (height, width)
        self.times: NDArray[np.float64] = np.zeros(1)

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """The picture, at its one index."""
        for _ in indices:
            picture = np.asarray(self._picture, np.uint8)
            yield resized(picture, scaled_size(self.size, scale))

    def close(self) -> None:
        """Does nothing: no file is open."""


def _check_size(content: bytes, max_pixels: int) -> None:
    """Refuses a picture that is too large, by its header, before OpenCV decodes it."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the limit is ours
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Exception:  # Pillow raises many kinds
        raise ValueError(NO_IMAGE) from None
    if width * height > max_pixels:
        raise ValueError(
            f"a picture must have at most {max_pixels:,} pixels (DATA.MAX_PIXELS), got "
            f"{width} x {height}"
        )
