"""The frames of a file as PyAV finds them: the reference for optional decoders."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.pyav import PyavDecoder

TOLERANCE = 8
"""Levels of 255 by which the first picture may differ on average: colours are not converted alike
everywhere."""


class Reference(NamedTuple):
    """The facts of a file (see ``VideoReader``), its format and its first picture."""

    size: tuple[int, int]
    times: NDArray[np.float64]
    fps: float
    end_s: float
    container: str
    first: NDArray[np.uint8]

    @classmethod
    def of(cls, path: str, decoding: Decoding) -> "Reference":
        """Raises PyAV's error if the file does not decode."""
        pyav = PyavDecoder(path, decoding, (None, None))
        try:
            (first,) = pyav.stream([0], 1.0)
            return cls(pyav.size, pyav.times, pyav.fps, pyav.end_s, pyav.container, first)
        finally:
            pyav.close()

    def hold(self, decoder: str, num_frames: int, first: NDArray[np.uint8]) -> None:
        """Raises ``ValueError`` if ``decoder`` counts other frames or has another first frame.

        That happens if frames before a cut are hidden, if some cannot be decoded, or if it ignores
        mirroring.
        """
        if num_frames != len(self.times):
            counts = f"{num_frames} frames in place of {len(self.times)}"
            raise ValueError(f"{decoder} counts {counts}; use pyav")
        if (
            first.shape != self.first.shape
            or np.abs(first.astype(np.int16) - self.first).mean() > TOLERANCE
        ):
            raise ValueError(f"{decoder} begins with another picture than pyav; use pyav")
