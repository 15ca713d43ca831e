"""Clips for benchmarks, made on the spot: what cameras give, as far as decoders can tell."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FPS = 24


def make_clips(
    folder: Path, count: int, size: tuple[int, int] = (480, 640), frames: int = 84
) -> list[str]:
    """Paths of ``count`` H.264 clips, encoded as by FFmpeg without options (crf 23, GOP 250).

    A texture turns and slides, bends as things do that are near and far, darkens and brightens, and
    has the noise of a sensor.
    """
    paths, rng = [], np.random.default_rng(0)
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    for number in range(count):
        path = folder / f"{number}.mp4"
        coarse = rng.integers(0, 256, (24, 32, 3), np.uint8)
        texture = cv2.resize(coarse, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
        fine = cv2.GaussianBlur(rng.normal(0, 60, texture.shape).astype(np.float32), (0, 0), 1.2)
        texture = np.clip(texture + fine, 0, 255).astype(np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "23"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for step in range(frames):
                bend = 9 * np.sin(rows / 41 + step / 5), 7 * np.sin(columns / 53 + step / 4)
                places = columns + bend[0] + 2.5 * step + 60, rows + bend[1] + step + 60
                picture = cv2.remap(texture, *places, cv2.INTER_LINEAR).astype(np.float32)
                picture *= 1 + 0.1 * np.sin(step / 3 + number)
                picture += rng.normal(0, 3, picture.shape)
                full = np.clip(picture, 0, 255).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(full, "rgb24")))
            container.mux(stream.encode())
        paths.append(str(path))
    return paths
