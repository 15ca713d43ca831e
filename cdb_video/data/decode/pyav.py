"""Decodes with PyAV (FFmpeg): exactly the presented frames, and little more than asked for."""

from collections.abc import Iterable, Iterator
from itertools import chain

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from cdb_video.data.decode.orientation import Orientation
from cdb_video.data.decode.packets import Keyframe, PacketTable, read_packet_table
from cdb_video.registry import DECODERS


class _Mismatch(Exception):
    """The decoder gives other frames than the packets announce."""


@DECODERS.register("pyav")
class PyavDecoder:
    """Finds frames by the presentation times of the packets, or else by counting.

    One pass over the packets, without decoding, tells which frames are presented and where the
    keyframes are. A frame is then reached from the keyframe before it and known by its time.
    Where packets do not stand for frames one to one, and where decoding contradicts the packets,
    frames are counted from the start of the file instead: slower, never different.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._reformatter = VideoReformatter()
        self._can_seek = True
        self._wanted: set[int] = set()
        self._begun: Iterator[tuple[int, VideoFrame]] | None = None
        self._container, self._stream = _open(path)
        try:
            self._table = read_packet_table(self._container, self._stream)
            self._stamps = self._count() if self._table is None else self._table.pts.tolist()
            first = self._first_frame()
            self._stored_size = (first.height, first.width)
            self._orientation = Orientation.of(first)
            self.size = self._orientation.presented(self._stored_size)
            self.fps, self.times = self._clock()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._container.close()

    def frames(self, indices: list[int], scale: float) -> NDArray[np.uint8]:
        """The frames at ``indices``, which rise, do not repeat and exist."""
        try:
            return self._read(indices, scale)
        except (_Mismatch, av.FFmpegError):
            if self._table is None:
                raise
        self._table = None
        num_decoded = len(self._count())
        if num_decoded != len(self._stamps):
            raise ValueError(f"{num_decoded} of {len(self._stamps)} frames decode")
        return self._read(indices, scale)

    def _read(self, indices: list[int], scale: float) -> NDArray[np.uint8]:
        height, width = (max(1, round(side * scale)) for side in self.size)
        stored_height, stored_width = self._orientation.presented((height, width))
        interpolation = Interpolation.AREA if scale < 1 else Interpolation.BILINEAR
        pictures = np.empty((len(indices), height, width, 3), np.uint8)
        for row, frame in enumerate(self._walk(indices)):
            if (frame.height, frame.width) != self._stored_size:
                raise ValueError(
                    f"frame {indices[row]} is {frame.width}x{frame.height}, the first one "
                    f"{self._stored_size[1]}x{self._stored_size[0]}"
                )
            converted = self._reformatter.reformat(
                frame,
                stored_width,
                stored_height,
                "rgb24",
                interpolation=interpolation,
                threads=1,
            ).to_ndarray()
            pictures[row] = self._orientation.upright(converted.astype(np.uint8, copy=False))
        return pictures

    def _walk(self, indices: list[int]) -> Iterator[VideoFrame]:
        """The decoded frames at the rising ``indices``; seeks where that saves decoding."""
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
        """Frames with their indices, rising, from ``index`` or before it to the end."""
        if self._table is None:
            return self._decode_all()
        return self._decode_from(self._table, index)

    def _decode_all(self) -> Iterator[tuple[int, VideoFrame]]:
        self._reopen()
        for index, frame in enumerate(self._container.decode(self._stream)):
            if frame.is_corrupt:
                raise ValueError(f"frame {index} is damaged")
            yield index, frame

    def _decode_from(self, table: PacketTable, index: int) -> Iterator[tuple[int, VideoFrame]]:
        """Leaves out frames that are neither wanted nor needed, once some are wanted."""
        key = table.key_before(index)
        due = table.first_at(key.pts)
        # In H.264 alone a frame that no other refers to is marked beyond doubt. Where no frame
        # is reordered there are few of them, and the times may be made up: then decode each one.
        may_skip = table.reordered and self._stream.codec.canonical_name == "h264"
        for packet in self._packets_from(key):
            if may_skip:
                keep = not self._wanted or packet.pts is None or packet.pts in self._wanted
                self._stream.codec_context.skip_frame = "DEFAULT" if keep else "NONREF"
            for frame in packet.decode():
                if frame.pts is not None and frame.pts < key.pts:
                    continue
                if frame.pts is None or frame.is_corrupt:
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
        # MP4 and Matroska find the keyframe before a time of presentation, and MP4 with an edit
        # list an earlier one than need be; AVI and MPEG-TS go by the time of decoding.
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
        self._container, self._stream = _open(self._path)

    def _count(self) -> list[int | None]:
        """Decodes everything once: the time of each frame in ticks, if it has one."""
        self._reopen()
        stamps = [frame.pts for frame in self._container.decode(self._stream)]
        if not stamps:
            raise ValueError("no frame decodes")
        return stamps

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

    def _clock(self) -> tuple[float, NDArray[np.float64]]:
        """Frames a second on average, and seconds of each frame since the first."""
        rate = float(self._stream.average_rate or 1)
        stamps = [stamp for stamp in self._stamps if stamp is not None]
        ticks = np.array(stamps, np.float64)
        if len(stamps) < len(self._stamps) or np.any(np.diff(ticks) <= 0):
            return rate, np.arange(len(self._stamps)) / rate
        times = (ticks - ticks[0]) * float(self._stream.time_base or 1)
        return (len(times) - 1) / times[-1] if len(times) > 1 else rate, times


def _open(path: str) -> tuple[InputContainer, VideoStream]:
    """Opens ``path`` for one thread: the workers of the loader are the parallelism."""
    container = av.open(path, metadata_errors="replace")
    try:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise ValueError("it holds no video stream")
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
    except BaseException:
        container.close()
        raise
    return container, stream
