"""Writes films: pictures with a caption, as an mp4 that plays anywhere."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.data.encode import write_mp4
from cdb_video.engine.record.pictures import Picture
from cdb_video.engine.use.timeline import Timeline
from cdb_video.system.files import replacing

HEIGHT = 480
"""Pixels, at most."""


def write_film(path: Path, pictures: Iterable[tuple[float, Picture]], fps: float) -> None:
    """As ``write_mp4``, all of it or nothing."""
    with replacing(path) as partial:
        write_mp4(partial, pictures, fps)


def annotate(path: Path, video: str, timeline: Timeline, decoding: Decoding) -> None:
    """Writes a copy of a video that shows the class of each moment and its probability.

    Raises:
        DecodeError: it cannot be decoded.
    """
    best = timeline.scores.argmax(axis=1)
    with VideoReader(video, decoding) as reader:
        scale = min(1.0, HEIGHT / reader.size[0])

        def pictures() -> Iterable[tuple[float, Picture]]:
            every = reader.stream(np.arange(reader.num_frames), scale)
            for second, picture in zip(reader.times.tolist(), every, strict=True):
                step = int(np.searchsorted(timeline.times, second, side="right")) - 1
                step = min(max(step, 0), len(best) - 1)
                score = float(timeline.scores[step, best[step]])
                yield second, captioned(picture, timeline.class_names[best[step]], score)

        write_film(path, pictures(), reader.fps)


def captioned(picture: Picture, text: str, score: float) -> Picture:
    """``picture`` with ``text`` and a bar as long as ``score`` below it, on a dark strip."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    strip = max(24, height // 12)
    image = Image.new("RGB", (width, height + strip), (20, 24, 29))
    image.paste(Image.fromarray(picture), (0, 0))
    draw: Any = ImageDraw.Draw(image)
    draw.rectangle((0, height, round(width * score) - 1, height + 3), fill=(106, 167, 232))
    line = f"{text}  {100 * score:.0f} %"
    draw.text((6, height + strip // 2 + 2), line, font=_font(strip * 11 // 20), anchor="lm")
    return np.asarray(image)


@lru_cache
def _font(size: int) -> Any:
    from matplotlib.font_manager import findfont
    from PIL import ImageFont

    return ImageFont.truetype(findfont("DejaVu Sans"), size)
