"""Chooses the frames of a clip: functions of integers, which need no video.

A clip is drawn from the presented frames ``[first, last)`` of a file. With ``rng``, the choice is
random, as in training. Without, it is temporal view ``view`` of ``num_views``.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from cdb_video.config.types import NonNegativeFloat, PositiveInt
from cdb_video.errors import DataError

FrameIndices = npt.NDArray[np.int64]

# Times in lists are usually rounded to milliseconds. Times of frames are not.
ROUNDING_S = 0.001


@dataclass(frozen=True)
class ClipSampling:
    """How many frames a clip has and where they come from."""

    num_frames: PositiveInt = 10
    """Frames in a clip, T."""

    sampling: Literal["segments", "dense"] = "segments"
    """How frames are chosen. 'segments' takes one frame from each of NUM_FRAMES equal parts of the
    video, so the clip spans all of it. 'dense' takes a window of NUM_FRAMES frames, SAMPLING_RATE
    apart."""

    sampling_rate: PositiveInt = 1
    """Distance in frames between neighbours of a 'dense' clip. It has no effect on 'segments'."""

    sampling_fps: NonNegativeFloat = 0.0
    """Frame rate at which every video is read, for videos of mixed or variable rates. The frame on
    screen at each even time is taken, and SAMPLING_RATE counts these frames. 0 counts the frames of
    the file."""

    def indices(
        self,
        first: int,
        last: int,
        *,
        rng: np.random.Generator | None = None,
        view: int = 0,
        num_views: int = 1,
        times: npt.NDArray[np.float64] | None = None,
    ) -> FrameIndices:
        """Frame numbers ``(num_frames,)`` of one clip from ``[first, last)``.

        Args:
            times: seconds of all frames, rising; SAMPLING_FPS is without effect where not given.
        """
        if self.sampling_fps and times is not None:
            frames = first + at_rate(times[first:last], self.sampling_fps)
            by_number = replace(self, sampling_fps=0.0)
            return frames[
                by_number.indices(0, len(frames), rng=rng, view=view, num_views=num_views)
            ]
        if self.sampling == "dense":
            return dense(
                first,
                last,
                self.num_frames,
                self.sampling_rate,
                rng=rng,
                view=view,
                num_views=num_views,
            )
        return segments(first, last, self.num_frames, rng=rng, view=view, num_views=num_views)


def without_some(indices: FrameIndices, share: float, rng: np.random.Generator) -> FrameIndices:
    """Frame numbers (T,). Each is replaced by the one before with probability ``share``."""
    if not share:
        return indices
    lost = rng.random(len(indices)) < share
    lost[0] = False
    kept: FrameIndices = np.maximum.accumulate(np.where(lost, 0, np.arange(len(indices))))
    return indices[kept]


def at_rate(times: npt.NDArray[np.float64], fps: float) -> FrameIndices:
    """Which of N frames is on screen at each of V even times from the first frame to the last.

    Args:
        times: (N,) seconds, rising.
        fps: times a second.

    Returns:
        (V,) numbers in [0, N), never decreasing, V >= 1.
    """
    count = int((times[-1] - times[0]) * fps + ROUNDING_S) + 1
    wanted = times[0] + np.arange(count) / fps
    frames: FrameIndices = np.searchsorted(times, wanted + ROUNDING_S, side="right") - 1
    return frames


def segments(
    first: int,
    last: int,
    num_frames: int,
    *,
    rng: np.random.Generator | None = None,
    view: int = 0,
    num_views: int = 1,
) -> FrameIndices:
    """One frame from each of ``num_frames`` equal parts of ``[first, last)``.

    With ``rng``, every moment of a part is equally likely. Otherwise the frame lies at
    ``(view + 0.5) / num_views`` of its part: the middle when there is one view. A range with
    fewer frames than parts repeats frames.

    Returns:
        ``(num_frames,)`` frame numbers, never decreasing.
    """
    length = _length(first, last)
    part = np.arange(num_frames, dtype=np.int64)
    if rng is not None:
        offset = rng.integers(0, length, size=num_frames)
        return first + (part * length + offset) // num_frames
    # first + (part + (view + 0.5) / num_views) * length / num_frames, in integers
    halves = 2 * num_views * part + 2 * view + 1
    return first + halves * length // (2 * num_views * num_frames)


def dense(
    first: int,
    last: int,
    num_frames: int,
    stride: int,
    *,
    rng: np.random.Generator | None = None,
    view: int = 0,
    num_views: int = 1,
) -> FrameIndices:
    """``num_frames`` frames, ``stride`` apart, from ``[first, last)``.

    The window starts anywhere it fits (``rng``), is centred (one view), or the windows of the
    views are spaced evenly from the first that fits to the last. A range shorter than the window
    repeats its last frame.

    Returns:
        ``(num_frames,)`` frame numbers, never decreasing.
    """
    length = _length(first, last)
    slack = max(length - ((num_frames - 1) * stride + 1), 0)
    if rng is not None:
        start = int(rng.integers(0, slack + 1))
    elif num_views == 1:
        start = slack // 2
    else:
        start = slack * view // (num_views - 1)
    window = start + stride * np.arange(num_frames, dtype=np.int64)
    return first + np.minimum(window, length - 1)


def frame_range(
    times: npt.NDArray[np.float64], end_s: float, start: float | None, end: float | None
) -> tuple[int, int]:
    """The frames ``[first, last)`` on screen during ``[start, end)`` seconds; at least one.

    Frame i is on screen from ``times[i]`` until ``times[i + 1]``, the last one until ``end_s``.
    ``None`` stands for the beginning or the end of the file, and so does what lies before or after.

    Args:
        times: ``(num_frames,)`` seconds, increasing.
        end_s: seconds, at or after the last of ``times``.
        start: seconds, or None.
        end: seconds, above ``start``, or None.

    Raises:
        DataError: the range lies outside the file.
    """
    first_s = -np.inf if start is None else start
    last_s = np.inf if end is None else end
    if last_s <= 0 or first_s > max(end_s - ROUNDING_S, times[0]):
        raise DataError(
            f"the clip [{start or 0:g}, {'end' if end is None else f'{end:g}'}) s lies outside "
            f"the file, which ends at {end_s:.3f} s"
        )
    first = max(int(np.searchsorted(times, first_s + ROUNDING_S, side="right")) - 1, 0)
    last = int(np.searchsorted(times, last_s - ROUNDING_S, side="left"))
    return first, max(last, first + 1)


def _length(first: int, last: int) -> int:
    if last <= first:
        raise ValueError(f"a clip needs at least one frame, got the range [{first}, {last})")
    return last - first
