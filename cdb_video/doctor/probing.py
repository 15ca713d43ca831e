"""Opens every clip, in parallel: length, appearance, whether it decodes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cdb_video.data.batches.clip_dataset import ClipDataset, Key
from cdb_video.data.batches.loading import Loading
from cdb_video.data.batches.workers import Workers
from cdb_video.data.decode import VideoReader
from cdb_video.data.frames.sampling import frame_range
from cdb_video.data.lists.records import Record
from cdb_video.errors import CdbVideoError

CONTRAST = 6.0
"""Standard deviation of grey below which a picture has nothing to be recognised by."""
CHUNK = 64
"""Frames that are decoded at a time."""


@dataclass(frozen=True)
class Probe:
    """The result of opening one clip."""

    num_frames: int = 0
    fps: float = 0.0
    height: int = 0
    width: int = 0
    hashes: tuple[int, ...] = ()
    """Of three frames, 64 bits each; none where one of them has no contrast."""
    error: str = ""


class _Probes(ClipDataset):
    """A dataset that gives probes instead of clips.

    Args:
        deep: decode every frame.
    """

    def __init__(self, records: Sequence[Record], loading: Loading, deep: bool) -> None:
        super().__init__(records, loading)
        self.deep = deep

    def __getitem__(self, key: Key) -> Any:
        found = self._try(key.record, self._probe)
        return Probe(error=str(found)) if isinstance(found, CdbVideoError) else found

    def _probe(self, record: Record) -> Probe:
        span = (record.start, record.end)
        with VideoReader(record.path, self.decoding, span) as video:
            first, last = frame_range(video.times, video.end_s, *span)
            thirds = first + (last - first) * np.array([1, 3, 5]) // 6
            hashes = tuple(map(picture_hash, video.frames(thirds)))
            for start in range(first, last, CHUNK) if self.deep else ():
                video.frames(range(start, min(start + CHUNK, last)), scale=0.1)
            known = tuple(one for one in hashes if one is not None)
            height, width = video.size
            kept = known if len(known) == len(hashes) else ()
            return Probe(last - first, video.fps, height, width, kept)


class _Keys:
    """Yields the keys of records one by one, from ``first`` on."""

    def __init__(self, num_records: int) -> None:
        self.num_records, self.first = num_records, 0

    def __iter__(self) -> Iterator[list[Key]]:
        return ([Key(0, record, 0)] for record in range(self.first, self.num_records))


def probe(
    records: Sequence[Record],
    loading: Loading,
    deep: bool,
    on_each: Callable[[], object] = lambda: None,
) -> list[Probe]:
    """Yields the probe of each record in order. A file that hangs or crashes gives an error."""
    dataset, keys = _Probes(records, loading, deep), _Keys(len(records))
    workers = Workers(dataset, keys, itemgetter(0), loading.share)
    found: list[Probe] = []
    for one in workers.results():
        found.append(one)
        on_each()
    workers.end()
    return found


def picture_hash(picture: npt.NDArray[np.uint8]) -> int | None:
    """64 bits that hardly change when a picture is scaled or compressed (dHash).

    Each bit says whether one of 9 x 8 grey values is above its right neighbour. None without
    contrast.

    Args:
        picture: (H, W, 3) RGB.
    """
    grey = cv2.resize(
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA
    )
    if grey.std() < CONTRAST:
        return None
    bits = (grey[:, :-1] > grey[:, 1:]).ravel()
    return int(sum(1 << place for place, bit in enumerate(bits) if bit))
