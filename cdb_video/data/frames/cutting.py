"""Cuts clips out of one open video. Each frame is decoded once for all clips."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from cdb_video.data.decode import Frames
from cdb_video.data.decode.resize import scaled_size
from cdb_video.data.frames.crops import Crop, Frame, crop_affine, decode_scale, fixed_crop
from cdb_video.data.frames.sampling import ClipSampling, FrameIndices
from cdb_video.data.frames.warp import warper

Clip = npt.NDArray[np.uint8]
"""(3, T, S, S) RGB."""


def cut(
    video: Frames,
    wanted: Sequence[FrameIndices],
    crops: Sequence[Crop],
    size: int,
    *,
    black: bool = False,
) -> Iterator[Clip]:
    """Yields the clips of ``wanted``: every crop of one clip, then the next clip.

    Cropped frames are held until no later clip needs them. Overlapping windows in order need few of
    them, however long the video is.

    Args:
        wanted: frame numbers (T,) of each clip.
        crops: in pixels of the video, all of one scale.
        size: S, in pixels.
        black: outside the picture is black, not its reflection.
    """
    rising = np.unique(np.concatenate(wanted))
    scale = decode_scale(crops[0], size)
    pictures = zip(rising.tolist(), video.stream(rising, scale), strict=True)
    cutters = _cutters(video, scale, crops, size, black)
    # For each clip, the first frame that it or a later clip needs.
    first_needed = np.minimum.accumulate([indices.min() for indices in wanted[::-1]])[::-1]
    held: dict[int, list[Frame]] = {}
    for indices, needed in zip(wanted, first_needed, strict=True):
        for number in [number for number in held if number < needed]:
            del held[number]
        last = int(indices.max())
        while last not in held:
            number, picture = next(pictures)
            held[number] = [cut_out(picture) for cut_out in cutters]
        clips = np.empty((len(crops), 3, len(indices), size, size), np.uint8)
        for time, number in enumerate(indices.tolist()):
            for clip, frame in zip(clips, held[number], strict=True):
                _write(frame, clip, time)
        yield from clips


def cut_each(
    video: Frames,
    wanted: Sequence[FrameIndices],
    crops: Sequence[Crop],
    size: int,
    *,
    black: bool = False,
) -> npt.NDArray[np.uint8]:
    """The clips of ``wanted``, each in a crop of its own, (V, 3, T, S, S); as ``cut``."""
    rising = np.unique(np.concatenate(wanted))
    scale = max(decode_scale(crop, size) for crop in crops)
    cutters = _cutters(video, scale, crops, size, black)
    clips = np.empty((len(wanted), 3, len(wanted[0]), size, size), np.uint8)
    for number, picture in zip(rising.tolist(), video.stream(rising, scale), strict=True):
        for clip, indices, cut_out in zip(clips, wanted, cutters, strict=True):
            places = np.flatnonzero(indices == number).tolist()
            if places:
                frame = cut_out(picture)
                for time in places:
                    _write(frame, clip, time)
    return clips


def _write(frame: Frame, clip: Clip, time: int) -> None:
    """Copies a frame (S, S, 3) into ``clip`` (3, T, S, S), several times as fast as numpy."""
    cv2.split(frame, [plane[time] for plane in clip])


def _cutters(
    video: Frames, scale: float, crops: Sequence[Crop], size: int, black: bool
) -> list[Callable[[Frame], Frame]]:
    """The warp of each crop for frames that were decoded at ``scale``."""
    decoded = scaled_size(video.size, scale)
    affines = [crop_affine(crop, video.size, decoded, size) for crop in crops]
    return [warper(affine, decoded, size, black=black) for affine in affines]


def cut_views(
    video: Frames,
    first: int,
    last: int,
    sampling: ClipSampling,
    views: tuple[int, int],
    size: int,
) -> npt.NDArray[np.uint8]:
    """The fixed views of the frames ``[first, last)``: all crops of the first time, then the next.

    Args:
        views: clips along time, and crops of each: 1, or 3 along the longer side.
        size: S, in pixels.

    Returns:
        (V, 3, T, S, S) RGB.
    """
    temporal, spatial = views
    wanted = [
        sampling.indices(first, last, view=v, num_views=temporal, times=video.times)
        for v in range(temporal)
    ]
    crops = [fixed_crop(*video.size, view, spatial) for view in range(spatial)]
    return np.stack(list(cut(video, wanted, crops, size)))
