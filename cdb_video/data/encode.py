"""Writes pictures as an H.264 mp4 that plays anywhere."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

TICKS = 90_000
"""A second."""
COLOURS = 1
"""BT.709, as FFmpeg numbers it: the matrix, the primaries and the curve have the same number."""


def write_mp4(
    path: Path,
    pictures: Iterable[tuple[float, npt.NDArray[np.uint8]]],
    fps: float,
    size: tuple[int, int] | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Writes ``path``, whatever its ending. Writes nothing if there are no pictures.

    Args:
        pictures: (seconds, picture) in rising order; (H, W, 3) RGB, all of one size. The first
            is at 0 s in the file.
        fps: pictures a second, about.
        size: (height, width) to scale to, even numbers. By default the pictures keep their size,
            less an odd row or column.
        options: of x264.
    """
    with av.open(str(path), "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001) if fps > 0 else Fraction(25)
        stream = container.add_stream("libx264", rate=rate, options=dict(options or {"crf": "23"}))
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.thread_count = 1
        stream.pix_fmt = "yuv420p"
        context.colorspace = context.color_primaries = context.color_trc = COLOURS
        first, before = None, -1
        for second, picture in pictures:
            if first is None:
                first = second
                stream.height, stream.width = size or (side // 2 * 2 for side in picture.shape[:2])
            if size is None:
                picture = picture[: stream.height, : stream.width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(
                width=stream.width,
                height=stream.height,
                format="yuv420p",
                dst_colorspace="ITU709",
                interpolation="AREA",
            )
            before = max(round((second - first) * TICKS), before + 1)
            frame.pts, frame.time_base = before, Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
