"""The pictures of the demo data: photographs filmed by a camera that pans, tilts, zooms or rolls.

The class of a clip is its motion. A single frame must not tell the class, so the viewpoint does not
depend on the motion. Its position is uniform on the endless plane of mirrored copies of a
photograph, and its angle is uniform on the circle. Both stay uniform under any motion. Only the
scale cannot be uniform at both ends of a zoom, so its range is wide compared with a zoom.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 160, 120, 24
UNITS = 2
"""In a pixel: paths and scales are given for clips of 320x240."""

# The four axes of a camera path: to the right and down in units, natural logarithm of the zoom,
# clockwise turn in radians.
MOTIONS: dict[str, tuple[int, int, int, int]] = {
    "Pan left": (-1, 0, 0, 0),
    "Pan right": (1, 0, 0, 0),
    "Tilt up": (0, -1, 0, 0),
    "Tilt down": (0, 1, 0, 0),
    "Zoom in": (0, 0, 1, 0),
    "Zoom out": (0, 0, -1, 0),
    "Roll left": (0, 0, 0, -1),
    "Roll right": (0, 0, 0, 1),
    "Shake": (0, 0, 0, 0),
    "Still": (0, 0, 0, 0),
}
SHORTEST_PATH = np.array([64, 64, math.log(1.25), math.radians(20)])
LONGEST_PATH = np.array([160, 160, math.log(1.6), math.radians(50)])
TREMOR = np.array([0.8, 0.8, 0.002, 0.004])
SHAKE = np.array([14, 14, 0.01, 0.05])

# The subject of each photograph, as left, top, right, bottom.
SUBJECTS = {"china": (70, 100, 350, 426), "flower": (180, 94, 436, 350)}
PHOTOS = tuple(SUBJECTS)
SCALES = (1.4, 3.5)

# With macroblock trees (mbtree) x264 gives other bytes from run to run. Decoding takes a good part
# of the training time of a small network, hence the tuning.
X264: dict[str, object] = {
    "preset": "superfast",
    "tune": "fastdecode",
    "crf": "24",
    "threads": "1",
    "mbtree": "0",
}


@dataclass(frozen=True)
class Shot:
    """Everything that determines the frames of one clip."""

    verb: str
    """A key of ``MOTIONS``."""
    photo: str
    """One of ``PHOTOS``."""
    part: str
    """``train``, ``val`` or ``test``: which part of the photograph is filmed."""
    num_frames: int
    seed: tuple[int, int]
    """Two shots that differ in nothing else differ in viewpoint and path."""


def camera_path(verb: str, num_frames: int, rng: np.random.Generator) -> Floats:
    """The camera's way from its first viewpoint, ``(num_frames, 4)`` on the axes of ``MOTIONS``.

    The motion starts and stops softly, takes between half of the clip and all of it, and comes
    with the tremor of a hand. Time runs from 0 to 1 over the clip; the way is centred on its
    middle, so that zooms in and out cover the same scales.
    """
    time = np.arange(num_frames) / max(num_frames - 1, 1)
    length = rng.uniform(0.5, 1)
    start = rng.uniform(0, 1 - length)
    progress = np.clip((time - start) / length, 0, 1)
    progress = progress * progress * (3 - 2 * progress)
    extent = rng.uniform(SHORTEST_PATH, LONGEST_PATH)
    way = (progress - 0.5)[:, None] * extent * np.array(MOTIONS[verb])

    hertz = rng.uniform(2, 6, size=(3, 4))
    phase = rng.uniform(0, 2 * math.pi, size=(3, 4))
    seconds = np.arange(num_frames)[:, None, None] / FPS
    swing = np.sin(2 * math.pi * hertz * seconds + phase).sum(axis=1)
    strength = SHAKE if verb == "Shake" else TREMOR
    path: Floats = way + swing * strength * rng.uniform(0.6, 1.4)
    return path


@lru_cache
def photo_part(photo: str, part: str) -> Image:
    """The ``(H, W, 3)`` RGB pixels of a photograph that the clips of one split may show.

    Training films the left half of the subject, validation the upper and test the lower quarter
    on the right, so that no pixel is seen in two splits.
    """
    from sklearn.datasets import load_sample_image  # slow to import, so not by --help

    left, top, right, bottom = SUBJECTS[photo]
    middle_x, middle_y = (left + right) // 2, (top + bottom) // 2
    boxes = {
        "train": (left, top, middle_x, bottom),
        "val": (middle_x, top, right, middle_y),
        "test": (middle_x, middle_y, right, bottom),
    }
    left, top, right, bottom = boxes[part]
    image: Image = load_sample_image(f"{photo}.jpg")[top:bottom, left:right]
    return np.ascontiguousarray(image)


def render_clip(shot: Shot) -> Image:
    """The frames of a shot, ``(num_frames, HEIGHT, WIDTH, 3)`` uint8 RGB."""
    rng = np.random.default_rng(shot.seed)
    picture = photo_part(shot.photo, shot.part)
    height, width = picture.shape[:2]
    x, y = rng.uniform(0, 2 * width), rng.uniform(0, 2 * height)
    log_scale = rng.uniform(math.log(SCALES[0]), math.log(SCALES[1]))
    angle = rng.uniform(0, 2 * math.pi)
    contrast, brightness = rng.uniform(0.7, 1.2), rng.uniform(-15, 30)
    toned = np.clip((picture - 128.0) * contrast + 128 + brightness, 0, 255).astype(np.uint8)

    frames = np.empty((shot.num_frames, HEIGHT, WIDTH, 3), np.uint8)
    cos, sin = math.cos(angle) / math.exp(log_scale), math.sin(angle) / math.exp(log_scale)
    for frame, (right, down, zoom, roll) in zip(
        frames, camera_path(shot.verb, shot.num_frames, rng), strict=True
    ):
        centre = x + cos * right - sin * down, y + sin * right + cos * down
        warp(toned, centre, math.exp(log_scale + zoom) / UNITS, angle + roll, frame)
    return frames


def warp(
    picture: Image, centre: tuple[float, float], scale: float, angle: float, frame: Image
) -> None:
    """Fill ``frame`` with the picture around ``centre`` as a camera turned by ``angle`` sees it.

    Args:
        centre: x, y in pixels of the picture, which is mirrored at its edges without end.
        scale: pixels of the frame per pixel of the picture.
        angle: clockwise turn of the camera, in radians.
    """
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    half_width, half_height = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, centre[0] - cos * half_width + sin * half_height],
            [sin, cos, centre[1] - sin * half_width - cos * half_height],
        ]
    )
    cv2.warpAffine(
        picture,
        matrix,
        (WIDTH, HEIGHT),
        dst=frame,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def write_clip(path: Path, shot: Shot) -> None:
    """Encode a shot as H.264; the same bytes for the same shot and the same libraries."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = X264
        for image in render_clip(shot):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
