"""Film strips: a few frames of a clip in a row, embedded in the page."""

import base64
import os
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.data.frames.sampling import frame_range, segments
from cdb_video.errors import CdbVideoError
from cdb_video.output.rows import TestRow

FRAMES = 5
HEIGHT = 72
"""In pixels."""
QUALITY = 70
"""Of JPEG, in per cent."""
WHATEVER = Decoding(damage="accept")


def film_strip(row: TestRow) -> str:
    """A JPEG of ``FRAMES`` frames as a ``data:`` address; empty if the file cannot be decoded."""
    span = (row.start, row.end)
    try:
        with VideoReader(row.path, WHATEVER, span) as video:
            indices = segments(*frame_range(video.times, video.end_s, *span), FRAMES)
            pictures = video.frames(indices, min(1.0, HEIGHT / video.size[0]))
    except CdbVideoError:
        return ""
    if not np.any(np.diff(indices)):
        pictures = pictures[:1]
    joined = np.concatenate(list(pictures), axis=1)
    scale = HEIGHT / joined.shape[0]
    size = (max(1, round(joined.shape[1] * scale)), HEIGHT)
    small = cv2.resize(joined, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def link(row: TestRow, page: Path) -> str:
    """The relative address of a clip's file, with the seconds to play; empty without a file."""
    if not os.path.isfile(row.path):
        return ""
    relative = os.path.relpath(os.path.realpath(row.path), os.path.realpath(page.parent))
    seconds = "" if row.start is None else f"#t={row.start:g}"
    if seconds and row.end is not None:
        seconds += f",{row.end:g}"
    return f"./{quote(os.fsencode(relative))}{seconds}"
