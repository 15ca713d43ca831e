"""The timeline of a long video: windows, their average, and segments."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.errors import ConfigError

Scores = npt.NDArray[np.floating[Any]]


class Segment(NamedTuple):
    """A part of a video in which one class has the highest score."""

    start: float
    """Seconds from the start of the file."""
    end: float
    class_id: int
    class_name: str
    score: float
    """Mean probability of the class over the stretch, in [0, 1]."""


class Timeline(NamedTuple):
    """A video in M steps of equal length. The last one may be shorter."""

    class_names: list[str]
    """(K,)."""
    times: Scores
    """(M + 1,) seconds from the start of the file: step m is ``[times[m], times[m + 1])``."""
    scores: Scores
    """(M, K): class probabilities, each the mean over the windows that cover the step."""

    @property
    def segments(self) -> list[Segment]:
        """Neighbouring steps of the same class, joined."""
        best = self.scores.argmax(axis=1)
        edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
        return [
            Segment(
                float(self.times[begin]),
                float(self.times[end]),
                int(best[begin]),
                self.class_names[best[begin]],
                float(self.scores[begin:end, best[begin]].mean()),
            )
            for begin, end in zip(edges, edges[1:], strict=False)
        ]


def check_window(window: float, stride: float) -> None:
    """Raises ``ConfigError`` if one is not above 0 s, or windows would leave gaps."""
    if not 0 < stride <= window < float("inf"):
        raise ConfigError(
            f"a window must be at least as long as the stride, and both above 0 s, got a window "
            f"of {window:g} s and a stride of {stride:g} s"
        )


def window_spans(
    start: float, end: float, window: float, stride: float
) -> list[tuple[float, float]]:
    """``[start, end)`` of each window, in seconds: one every ``stride`` until all is covered.

    The last one may be cut short by the end of the video.

    Raises:
        ConfigError: as ``check_window``.
    """
    check_window(window, stride)
    count = max(1, int(np.ceil(round((end - start - window) / stride, 6))) + 1)
    begins = start + stride * np.arange(count)
    return [(begin, min(begin + window, end)) for begin in begins.tolist()]


def smoothed(
    class_names: list[str], spans: Sequence[tuple[float, float]], scores: Scores, stride: float
) -> Timeline:
    """The timeline of the windows ``spans`` (N,), whose scores are (N, K)."""
    start, end = spans[0][0], spans[-1][1]
    count = max(1, int(np.ceil(round((end - start) / stride, 6))))
    times = np.append(start + stride * np.arange(count), end)
    middles = (times[:-1] + times[1:]) / 2
    begins, ends = np.array(spans).T
    # Windows come in order, so those that cover a moment follow each other.
    first = np.searchsorted(ends, middles, side="right")
    last = np.maximum(np.searchsorted(begins, middles, side="right"), first + 1)
    sums = np.vstack([np.zeros(scores.shape[1]), scores.cumsum(axis=0, dtype=np.float64)])
    means = (sums[last] - sums[first]) / (last - first)[:, None]
    return Timeline(class_names, times, means)
