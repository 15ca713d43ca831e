"""The rotation and mirroring that make stored pixels upright."""

from typing import Any, NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """A quarter turn, a mirroring or both: transpose first, then flip.

    Attributes:
        transposed: rows become columns.
        flip_rows: top becomes bottom, after transposing.
        flip_columns: left becomes right, after transposing.
    """

    transposed: bool
    flip_rows: bool
    flip_columns: bool

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """Reads the display matrix of ``frame``, which the container or the stream may carry.

        The matrix ``(a, b, u, c, d, v, x, y, w)`` shows the stored point (p, q), p to the right
        and q down, at (a p + c q + x, b p + d q + y): ISO/IEC 14496-12, section 6.2.2. An angle
        between quarter turns counts as the nearest.
        """
        side_data: Any = frame.side_data
        stored = side_data.get("DISPLAYMATRIX")
        if stored is None:
            return cls(False, False, False)
        a, b, _, c, d = np.frombuffer(bytes(stored), np.int32)[:5].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, flip_rows=d < 0, flip_columns=a < 0)
        return cls(True, flip_rows=b < 0, flip_columns=c < 0)

    def presented(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) as shown of pictures stored with ``size``, and the reverse."""
        return size[::-1] if self.transposed else size

    def upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of ``picture`` ``(H, W, 3)`` as it is to be shown."""
        if self.transposed:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
