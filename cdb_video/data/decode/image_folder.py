"""A folder of numbered images as one video, such as ``img_00001.jpg`` and so on."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.image import ImageDecoder
from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.system.file_kinds import is_image

NUMBER = re.compile(r"(\d+)\D*$")


class ImageFolderDecoder:
    """The images of a folder as frames, ``DATA.IMAGE_FPS`` in a second.

    The last number in a name is the frame number, from 0 if there is a 0, else from 1. If a frame
    is missing, the one before it stays on screen.
    """

    def __init__(self, path: str, decoding: Decoding, span: Any = None) -> None:
        self._folder, self._decoding, self.fps = Path(path), decoding, decoding.image_fps
        found: dict[int, str] = {}
        for name in sorted(filter(is_image, os.listdir(path))):
            number = NUMBER.search(Path(name).stem)
            if number is None:
                raise ValueError(f"a folder of images must have numbers in their names, got {name}")
            other = found.setdefault(int(number[1]), name)
            if other != name:
                raise ValueError(f"two images have the number {int(number[1])}: {other}, {name}")
        if not found:
            raise ValueError("the folder has no images")
        decoding.check_length(len(found))
        numbers = sorted(found)
        self._names = [found[number] for number in numbers]
        places = np.array(numbers, dtype=np.float64) - (0 if numbers[0] == 0 else 1)
        self.times: NDArray[np.float64] = places / self.fps
        self.end_s = float(self.times[-1]) + 1 / self.fps
        self.size = self._open(0).size

    def _open(self, index: int) -> ImageDecoder:
        try:
            return ImageDecoder(str(self._folder / self._names[index]), self._decoding)
        except ValueError as error:
            raise ValueError(f"{self._names[index]}: {error}") from None

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """Yields the images at ``indices``, all in the size of the first."""
        for index in indices:
            image = self._open(index)
            if image.size != self.size:
                raise ValueError(
                    f"all images of a folder must have one size, {self.size}, got {image.size} for "
                    f"{self._names[index]}"
                )
            (picture,) = image.stream([0], 1.0)
            yield resized(picture, scaled_size(self.size, scale))

    def close(self) -> None:
        """Does nothing: no file is open."""
