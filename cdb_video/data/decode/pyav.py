"""Decodes with PyAV (FFmpeg): exactly the shown frames, and few that nobody asked for."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, groupby

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from cdb_video.data.decode.container import listening, open_video
from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.decode.orientation import Orientation
from cdb_video.data.decode.packets import (
    Keyframe,
    PacketTable,
    clock_of,
    read_packet_table,
    read_stretch,
    shown_size,
    start_of,
)
from cdb_video.data.decode.resize import scaled_size
from cdb_video.registry import DECODERS

KEPT_INDICES = 32
"""Files whose index a process keeps, of those that cannot be read in part."""


class _Mismatch(Exception):
    """The decoder returns other frames than the packets announce."""


@DECODERS.register("pyav")
class PyavDecoder:
    """Finds frames by the presentation times of the packets, or else by counting.

    One pass over the packets, without decoding, finds the shown frames and the keyframes. In a long
    file it reads only the wanted part. A frame is then reached from the keyframe before it and
    recognised by its time. If packets and frames do not match one to one, or if decoding
    contradicts the packets, frames are counted from the start of the file: slower, but the same.
    """

    def __init__(
        self, path: str, decoding: Decoding, span: tuple[float | None, float | None]
    ) -> None:
        self._path, self._decoding = path, decoding
        self._reformatter = VideoReformatter()
        self._can_seek = True
        self._wanted: set[int] = set()
        self._begun: Iterator[tuple[int, VideoFrame]] | None = None
        self._container, self._stream = open_video(path, decoding)
        self.container = self._container.format.name
        try:
            with listening(self._container, self._decoding):
                self._find_frames(span)
                first = self._first_frame()
            self._orientation = Orientation.of(first)
            self.size = self._orientation.presented(shown_size(self._stream, first))
            self.fps, self.times, self.end_s = clock_of(
                self._container, self._stream, self._stamps, self._table, self._in_part
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._container.close()

    def stream(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames at ``indices``, which exist, rise and do not repeat."""
        pictures, num_given = self._read(indices, scale), 0
        while True:
            try:
                with listening(self._container, self._decoding):
                    picture = next(pictures, None)
            except (_Mismatch, av.FFmpegError):
                if self._table is None:
                    raise
                with listening(self._container, self._decoding):
                    pictures = self._repeated(self._counted(indices)[num_given:], scale)
                continue
            if picture is None:
                return
            num_given += 1
            yield picture

    def _find_frames(self, span: tuple[float | None, float | None]) -> None:
        """Fills ``_table``, or only ``_stamps`` if there can be no table."""
        self._table, self._in_part = None, False
        if span != (None, None):
            ticks = [None if second is None else self._tick(second) for second in span]
            start = self._stream.start_time or 0 if ticks[0] is None else ticks[0]
            self._table = read_stretch(
                self._container, self._stream, self._decoding, start, ticks[1]
            )
            self._in_part = self._table is not None
            if self._table is None:
                self._reopen()
                status = os.stat(self._path)
                key = (self._path, status.st_mtime_ns, status.st_size)
                self._table, self._stamps = _kept_index(*key, self._decoding)
                return
        else:
            self._table = read_packet_table(self._container, self._stream, self._decoding)
        self._stamps = self._count() if self._table is None else self._table.pts.tolist()

    def _tick(self, second: float) -> int:
        """A time on the clock of players in ticks of the stream."""
        return round((second + start_of(self._container)) / float(self._stream.time_base or 1))

    def _repeated(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        """As ``_read``, of indices that may repeat."""
        pictures = self._read(sorted(set(indices)), scale)
        for _, same in groupby(indices):
            picture = next(pictures)
            yield from (picture for _ in same)

    def _read(self, indices: list[int], scale: float) -> Iterator[NDArray[np.uint8]]:
        stored_height, stored_width = self._orientation.presented(scaled_size(self.size, scale))
        interpolation = Interpolation.AREA if scale < 1 else Interpolation.BILINEAR
        for frame in self._walk(indices):
            converted = self._reformatter.reformat(
                frame,
                stored_width,
                stored_height,
                "rgb24",
                interpolation=interpolation,
                threads=1,
            )
            upright = self._orientation.upright(_pixels(converted))
            # The decoder may still refer to a frame that was RGB already.
            yield upright.copy() if converted is frame else np.ascontiguousarray(upright)

    def _walk(self, indices: list[int]) -> Iterator[VideoFrame]:
        """Yields the decoded frames at the rising ``indices``; seeks if that saves decoding."""
        reached, decoded = -1, self._begun or self._decode(0)
        self._begun = None
        if self._table is not None:
            self._wanted = set(self._table.pts[indices].tolist())
        for index in indices:
            start = 0
            if self._table is not None and self._can_seek:
                start = self._table.first_at(self._table.key_before(index).pts)
            if start > reached + 1:
                decoded = self._decode(index)
            found = next((pair for pair in decoded if pair[0] >= index), None)
            if found is None or found[0] != index:
                raise _Mismatch(f"frame {index} does not decode")
            reached, frame = found
            yield frame

    def _decode(self, index: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yields (index, frame) in rising order, from ``index`` or earlier to the end."""
        if self._table is None:
            return self._decode_all()
        return self._decode_from(self._table, index)

    def _decode_all(self) -> Iterator[tuple[int, VideoFrame]]:
        self._reopen()
        for index, frame in enumerate(self._every_frame()):
            if frame.is_corrupt and self._decoding.damage != "accept":
                raise ValueError(f"frame {index} is damaged")
            yield index, frame

    def _every_frame(self) -> Iterator[VideoFrame]:
        for packet in self._container.demux(self._stream):
            yield from self._frames_of(packet)

    def _frames_of(self, packet: "Packet[VideoStream]") -> "Sequence[VideoFrame]":
        """The frames that come with a packet; none of a damaged one, where damage is accepted."""
        try:
            return packet.decode()
        except av.FFmpegError:
            if self._decoding.damage != "accept":
                raise
            return []

    def _decode_from(self, table: PacketTable, index: int) -> Iterator[tuple[int, VideoFrame]]:
        """Drops packets of frames that are neither wanted nor needed by wanted ones."""
        key = table.key_before(index)
        due = table.first_at(key.pts)
        # Only H.264 reliably marks frames that no other refers to. Without reordering there are
        # few, and times may be made up: then every frame is decoded.
        may_skip = table.reordered and self._stream.codec.canonical_name == "h264"
        for packet in self._packets_from(key):
            if may_skip:
                keep = not self._wanted or packet.pts is None or packet.pts in self._wanted
                self._stream.codec_context.skip_frame = "DEFAULT" if keep else "NONREF"
            for frame in self._frames_of(packet):
                if frame.pts is not None and frame.pts < key.pts:
                    continue
                damaged = frame.is_corrupt and self._decoding.damage != "accept"
                if frame.pts is None or damaged:
                    raise _Mismatch(f"a frame near {index} is damaged")
                reached = table.first_at(frame.pts)
                announced = reached < len(table.pts) and table.pts[reached] == frame.pts
                in_turn = reached >= due if may_skip else reached == due
                if not (announced and in_turn):
                    raise _Mismatch(f"frame {due} does not decode")
                due = reached + 1
                yield reached, frame

    def _packets_from(self, key: Keyframe) -> "Iterable[Packet[VideoStream]]":
        """Packets in decoding order from ``key``, or from a keyframe before it."""
        # MP4 and Matroska seek by presentation time, and MP4 with an edit list goes further back
        # than necessary. AVI and MPEG-TS seek by decoding time.
        for target in (key.last, key.pts, key.dts) if self._can_seek else ():
            try:
                self._container.seek(target, stream=self._stream)
                packets = self._container.demux(self._stream)
                first = next(packet for packet in packets if packet.is_keyframe or not packet.size)
            except (av.FFmpegError, StopIteration):
                continue
            if first.pts is not None and first.pts <= key.pts:
                return chain([first], packets)
        self._can_seek = False
        self._reopen()
        return self._container.demux(self._stream)

    def _reopen(self) -> None:
        self._container.close()
        self._container, self._stream = open_video(self._path, self._decoding)

    def _count(self) -> list[int | None]:
        """Decodes everything once: the time of each frame in ticks, or None."""
        self._reopen()
        stamps = []
        for frame in self._every_frame():
            stamps.append(frame.pts)
            self._decoding.check_length(len(stamps))
        if not stamps:
            raise ValueError("no frame decodes")
        return stamps

    def _counted(self, indices: list[int]) -> list[int]:
        """Counts the frames of the whole file; returns the new numbers of ``indices``."""
        before, self._table = [self._stamps[index] for index in indices], None
        num_announced, self._stamps = len(self._stamps), self._count()
        if num_announced == len(self._stamps):
            return indices
        if self._decoding.damage == "accept":
            # Where a frame is missing, the one before it stays on screen.
            known = np.array([-1 if stamp is None else stamp for stamp in self._stamps])
            wanted = np.array([stamp or 0 for stamp in before])
            found = np.searchsorted(np.maximum.accumulate(known), wanted, side="right") - 1
            return [int(place) for place in np.maximum(found, 0)]
        places = {stamp: place for place, stamp in enumerate(self._stamps)}
        if not self._in_part or not places.keys() >= set(before):
            raise ValueError(f"{len(self._stamps)} of {num_announced} frames decode")
        return [places[stamp] for stamp in before]

    def _first_frame(self) -> VideoFrame:
        try:
            frame = self._begin()
            # Two packets may be the two fields of one interlaced frame.
            if self._table is None or not frame.interlaced_frame:
                return frame
        except (_Mismatch, av.FFmpegError):
            if self._table is None:
                raise
        self._table = None
        self._stamps = self._count()
        return self._begin()

    def _begin(self) -> VideoFrame:
        """The first frame, kept so that the first ``frames`` need not decode it again."""
        decoded = self._decode(0)
        first = next(decoded, None)
        if first is None or first[0] != 0:
            raise _Mismatch("the first frame does not decode")
        self._begun = chain([first], decoded)
        return first[1]


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) of a frame in RGB, where they lie: rows may have padding behind them."""
    (plane,) = frame.planes
    shape = (frame.height, frame.width, 3)
    return np.ndarray(shape, np.uint8, memoryview(plane), strides=(plane.line_size, 3, 1))


@lru_cache(maxsize=KEPT_INDICES)
def _kept_index(
    path: str, mtime_ns: int, size: int, decoding: Decoding
) -> tuple[PacketTable | None, list[int | None]]:
    """The table of a whole file, and the ticks of its frames."""
    decoder = PyavDecoder(path, decoding, (None, None))
    decoder.close()
    return decoder._table, decoder._stamps
