"""What may be given to a ``Predictor``, and the checks of it."""

import multiprocessing
import sys
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from cdb_video.data.decode.in_memory import InMemoryVideo
from cdb_video.data.lists.records import NO_LABEL, Record
from cdb_video.errors import CheckpointError, ConfigError

Video: TypeAlias = str | Path | Record | npt.NDArray[np.uint8] | torch.Tensor | InMemoryVideo
"""A file, a part of one, or pictures (T, H, W, 3) uint8 RGB, also with their times."""
MAX_CLIP = 1 << 30
"""Bytes of a clip, more than any network takes."""
MAX_VIEWS = 1000


def check_input(path: Path, num_frames: int, size: Any, views: tuple[int, int]) -> None:
    """Raises ``CheckpointError`` where one clip of a checkpoint would take all memory."""
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 1
    if not is_size or 3 * num_frames * size**2 > MAX_CLIP or views[0] > MAX_VIEWS:
        raise CheckpointError(
            f"{path}: a clip must have at most {MAX_CLIP:,} bytes, a video {MAX_VIEWS} views, "
            f"got {num_frames} frames of CROP_SIZE {size!r:.40} and {views[0]} views"
        )


def check_loading(views: tuple[int, int], batch_size: int, num_workers: int) -> None:
    """Raises ``ConfigError`` where one is out of range."""
    temporal, spatial = views
    if temporal < 1 or spatial not in (1, 3):
        raise ConfigError(f"views must be (1 or more along time, 1 or 3 crops), got {views}")
    if batch_size < 1:
        raise ConfigError(f"batch_size must be >= 1, got {batch_size}")
    if num_workers < 0:
        raise ConfigError(f"num_workers must be >= 0, got {num_workers}")
    if num_workers and not _may_start_processes():
        raise ConfigError(
            "num_workers starts processes that import this script again: put its lines below "
            "if __name__ == '__main__':, or take num_workers=0"
        )


def _may_start_processes() -> bool:
    """Whether new processes do not run the user's script once more, as spawned ones may."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None or multiprocessing.get_start_method() == "fork":
        return True
    try:
        return "__name__" in Path(script).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True


def in_memory(video: Any, fps: float | None) -> InMemoryVideo:
    """Pictures with their times. Raises ``ConfigError`` where nothing tells these."""
    if isinstance(video, InMemoryVideo):
        return video
    if fps is None:
        raise ConfigError("the times of an array must be known: give its fps, pictures a second")
    if not 0 < fps < float("inf"):
        raise ConfigError(f"fps must be above 0, got {fps:g}")
    return InMemoryVideo(video, fps)


def is_file(video: Any) -> bool:
    """Whether it is a file, or a part of one."""
    return isinstance(video, (str, Path, Record))


def is_one(videos: Any) -> bool:
    """Whether it is one video, and not several."""
    in_one_piece = isinstance(videos, InMemoryVideo) or getattr(videos, "ndim", 0) == 4
    return is_file(videos) or in_one_piece


def as_record(video: Any) -> Record:
    """A file as a record without a label."""
    return video if isinstance(video, Record) else Record(str(video), NO_LABEL)
