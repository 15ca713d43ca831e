"""Watches a camera, or any stream that OpenCV can open."""

import time
from collections import deque
from collections.abc import Iterator

import cv2
import numpy as np

from cdb_video.data.decode.in_memory import InMemoryVideo
from cdb_video.data.decode.resize import resized, scaled_size
from cdb_video.engine.use.prediction import Prediction
from cdb_video.engine.use.predictor import Predictor
from cdb_video.errors import DataError

MAX_DIGITS = 4
"""Of the number of a camera; more is the name of a file."""


def watch(
    predictor: Predictor, source: str, window: float, stride: float
) -> Iterator[tuple[float, Prediction]]:
    """Predicts the last ``window`` seconds, every ``stride`` seconds, until the stream ends.

    Args:
        source: number of a camera, its device, a file, or the address of a stream.

    Yields:
        seconds since the beginning; the prediction.

    Raises:
        DataError: there is no such camera or stream.
    """
    is_number = source.isdecimal() and len(source) <= MAX_DIGITS
    camera = cv2.VideoCapture(int(source) if is_number else source)
    if not camera.isOpened():
        raise DataError(f"--camera must be a camera or stream that OpenCV can open, got {source}")
    fps = camera.get(cv2.CAP_PROP_FPS)
    recorded = camera.get(cv2.CAP_PROP_FRAME_COUNT) > 0 and fps > 0
    pictures: deque[tuple[float, np.ndarray]] = deque()
    begun, due, count = time.monotonic(), window, 0
    try:
        while True:
            there, picture = camera.read()
            if not there:
                return
            # A file has its own clock. A camera has that of the wall.
            now = count / fps if recorded else time.monotonic() - begun
            count += 1
            small = min(1.0, 1.2 * predictor.size / min(picture.shape[:2]))
            rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            pictures.append((now, resized(rgb, scaled_size(rgb.shape[:2], small))))
            while pictures[0][0] < now - window:
                pictures.popleft()
            if now >= due:
                due = now + stride
                times = np.array([second for second, _ in pictures])
                span = float(times[-1] - times[0]) or window
                clip = InMemoryVideo(
                    np.stack([one for _, one in pictures]), len(times) / span, times
                )
                yield now, predictor.predict([clip], views=(1, 1))[0]
    finally:
        camera.release()
