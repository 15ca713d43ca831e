"""Decoding: turns a video file into the frames that a player shows, uint8 RGB, and their times.

An image file is a video of one frame. A folder of numbered images is a video, too.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.image import ImageDecoder
from cdb_video.data.decode.image_folder import ImageFolderDecoder
from cdb_video.data.decode.member import as_file
from cdb_video.data.decode.resize import scaled_size
from cdb_video.data.decode.wholeness import what_is_missing
from cdb_video.errors import CdbVideoError, DecodeError
from cdb_video.registry import DECODERS
from cdb_video.system.file_kinds import is_image, what_instead, what_it_is

__all__ = [
    "DECODERS",
    "DecodeError",
    "Decoding",
    "Frames",
    "VideoReader",
]

MAX_REASON = 300
"""Characters of the reason that an error gives."""

Span = tuple[float | None, float | None]
"""Start and end in seconds; None is the beginning or the end of the file."""


class Decoder(Protocol):
    """What ``VideoReader`` needs from a decoder, built as ``Class(path, decoding, span)``.

    It may raise any ``Exception``. It imports optional packages when it is built. It may leave out
    frames that are not on screen during ``span``; numbers count from the first frame it keeps.
    """

    fps: float
    size: tuple[int, int]
    times: NDArray[np.float64]
    end_s: float

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames (H, W, 3) at ``indices``, which exist, rise and do not repeat."""

    def close(self) -> None:
        """Frees the file. May be called twice."""


class Frames(Protocol):
    """A source of clips: a file, or pictures in memory."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""

    @property
    def times(self) -> NDArray[np.float64]:
        """As in ``VideoReader``."""

    def stream(
        self, indices: NDArray[np.integer[Any]], scale: float = 1.0
    ) -> Iterator[NDArray[np.uint8]]:
        """As in ``VideoReader``."""


class VideoReader:
    """One open video file. A context manager, for use in one process.

    Args:
        path: of the file, whose ending tells whether it is an image; of a folder of images; or of
            a file in an archive, ``ARCHIVE.tar/NAME``.
        decoding: the decoder, and the limits.
        span: the wanted part. If container and decoder allow, little more of a long file is read;
            frames are then numbered within what was read.

    Attributes:
        path: as given.
        num_frames: number of presented frames, at least 1.
        fps: average frames a second; of a single frame, what the header says.
        size: (height, width) in pixels as presented, that is after any rotation.
        times: ``(num_frames,)`` float64, rising: when each frame comes on screen, in seconds on the
            clock of players, which starts with the earliest stream of the file, audio included.
        end_s: when the last frame goes, on the same clock.

    Raises:
        DecodeError: ``path: reason``, one line, whatever goes wrong with the file.
        ConfigError: the decoder is unknown or not installed.
    """

    def __init__(
        self, path: str, decoding: Decoding | None = None, span: Span = (None, None)
    ) -> None:
        self.path = str(path)
        decoding = decoding or Decoding()
        decoder_class = _decoder_class(self.path, decoding.decoder)
        self._opened = ExitStack()
        with self._named():
            if what := what_it_is(self.path):
                raise ValueError(f"it is {what}, not a file")
            local = self._opened.enter_context(as_file(self.path))
            is_file = not os.path.isdir(local)
            if is_file and decoding.damage != "accept" and (fault := what_is_missing(local)):
                raise ValueError(fault)
            # An absolute path: FFmpeg reads the text before a colon as a protocol.
            absolute = os.path.abspath(local)
            self._decoder: Decoder = decoder_class(absolute, decoding, span)
        self.fps = self._decoder.fps
        self.size: tuple[int, int] = self._decoder.size
        self.times = self._decoder.times
        self.end_s = self._decoder.end_s
        self.num_frames = len(self.times)

    def frames(
        self, indices: Sequence[int] | NDArray[np.integer[Any]], scale: float = 1.0
    ) -> NDArray[np.uint8]:
        """Decodes ``indices``, in any order and with repeats, each in ``[0, num_frames)``.

        Args:
            indices: T frame numbers.
            scale: resizes to ``max(1, round(size * scale))`` on the way to RGB, which costs less
                than doing so afterwards.

        Returns:
            ``(T, H, W, 3)`` uint8 RGB.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        rising, rows = np.unique(wanted, return_inverse=True)
        pictures = np.empty((len(rising), *scaled_size(self.size, scale), 3), np.uint8)
        for row, picture in enumerate(self.stream(rising, scale)):
            pictures[row] = picture
        return pictures if np.array_equal(rising, wanted) else pictures[rows]

    def stream(
        self, indices: NDArray[np.integer[Any]], scale: float = 1.0
    ) -> Iterator[NDArray[np.uint8]]:
        """As ``frames``, one (H, W, 3) after another: only one is in memory.

        Args:
            indices: rising frame numbers without repeats, each in ``[0, num_frames)``.
        """
        outside = indices[(indices < 0) | (indices >= self.num_frames)]
        if len(outside):
            raise DecodeError(
                f"{self.path}: frame index must be in [0, {self.num_frames}), got {outside[0]}"
            )
        with self._named():
            pictures = iter(self._decoder.stream(indices.tolist(), scale))
        while True:
            with self._named():
                picture = next(pictures, None)
            if picture is None:
                return
            yield picture

    def close(self) -> None:
        self._decoder.close()
        self._opened.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turns any error of a decoder into one ``DecodeError`` that begins with the path.

        Damaged files raise more than FFmpeg's own errors, such as ``IndexError``,
        ``UnicodeDecodeError`` and ``MemoryError``.
        """
        try:
            yield
        except CdbVideoError:
            self._opened.close()
            raise
        except Exception as error:
            self._opened.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            with suppress(OSError):  # the error says so itself
                reason = what_instead(self.path) or reason
            raise DecodeError(f"{self.path}: {' '.join(reason.split())[:MAX_REASON]}") from error


def _decoder_class(path: str, decoder: str) -> Callable[[str, Decoding, Span], Decoder]:
    if os.path.isdir(path):
        return ImageFolderDecoder
    if is_image(path):
        return ImageDecoder
    kind: Callable[[str, Decoding, Span], Decoder] = DECODERS.get(decoder)
    return kind
