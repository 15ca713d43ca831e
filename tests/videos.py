"""Small real video files for tests, written with PyAV, whose frames say which one they are."""

import struct
from fractions import Fraction

import av
import numpy as np

BITS_A_SIDE = 4
COLOURS = {"blue": (30, 40, 210), "green": (30, 200, 40), "red": (210, 40, 30)}


def numbered_frame(index, size):
    """Frame ``index`` of ``size`` (height, width): uint8 (H, W, 3) RGB, a 4 x 4 grid of cells.

    The cells spell ``index`` (below 65,536) in binary, the lowest bit at the top left. They are
    dark or bright in green, which survives every codec; red and blue differ, and so betray
    swapped channels, while the grid betrays flips and turns.
    """
    height, width = size
    bits = [(index >> bit) & 1 for bit in range(BITS_A_SIDE**2)]
    rows = np.arange(height) * BITS_A_SIDE // height
    columns = np.arange(width) * BITS_A_SIDE // width
    bright = np.array(bits).reshape(BITS_A_SIDE, BITS_A_SIDE)[rows][:, columns]
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(120, 220, width, dtype=np.uint8)
    picture[..., 1] = np.where(bright, 215, 40)
    picture[..., 2] = np.linspace(40, 120, height, dtype=np.uint8)[:, None]
    return picture


def read_number(picture):
    """The index that ``numbered_frame`` drew, from a (H, W, 3) RGB picture of any size."""
    height, width = picture.shape[:2]
    rows = (np.arange(BITS_A_SIDE) * 2 + 1) * height // (2 * BITS_A_SIDE)
    columns = (np.arange(BITS_A_SIDE) * 2 + 1) * width // (2 * BITS_A_SIDE)
    bright = np.asarray(picture)[rows][:, columns, 1].astype(int) > 127
    return int(sum(1 << bit for bit, value in enumerate(bright.ravel()) if value))


def write_video(
    path,
    num_frames,
    size=(64, 96),
    codec="libx264",
    fps=24,
    options=None,
    frame=None,
    pixel_format="yuv420p",
    ticks=None,
):
    """Writes ``num_frames`` frames to ``path``, whose suffix picks the container.

    Args:
        size: (height, width) in pixels.
        codec: name of an FFmpeg encoder.
        fps: a number; a tick lasts ``1 / fps`` seconds.
        options: of the encoder, text to text, such as ``{"g": "12", "bf": "2"}``.
        frame: index -> uint8 (H, W, 3) RGB; ``numbered_frame`` if None.
        ticks: the rising time of each frame, in ticks; ``0, 1, 2, ...`` if None.

    Returns:
        ``path``.
    """
    height, width = size
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = 1 / rate
        stream.codec_context.thread_count = 1
        for index in range(num_frames):
            picture = numbered_frame(index, size) if frame is None else frame(index)
            video_frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            video_frame.pts = index if ticks is None else ticks[index]
            video_frame.time_base = 1 / rate
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode())
    return path


def with_matrix(path, a, b, c, d):
    """Writes a display matrix into the track header (``tkhd``, version 0) of the MP4 ``path``."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(
        ">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30
    )
    path.write_bytes(data)
    return path
