"""Reads from the packets of a file when its frames are shown, without decoding them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from cdb_video.data.decode.decoding import Decoding

ONE_FRAME_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores"})
# AVI stores no presentation times. The demuxer's guesses are right for these codecs only.
TIMED_IN_AVI = frozenset({"mpeg4", "mjpeg"})
SOME = 3
"""Stored frames of which a whole file would show more than one."""
MAX_SEEKS = 6
"""Tries to find the keyframe before a time; each goes further back than the one before."""
MAX_ASPECT = 8
"""Times that a pixel may be wider than high, or the reverse; more is an error of the file."""


class Keyframe(NamedTuple):
    """Times in ticks: of presentation, of decoding, and the last one before the next keyframe."""

    pts: int
    dts: int
    last: int


class PacketRow(NamedTuple):
    """One packet; times in ticks."""

    pts: int | None
    dts: int | None
    is_key: bool
    is_shown: bool
    duration: int


@dataclass(frozen=True)
class PacketTable:
    """The presented frames of a file, or of a stretch of it, and where decoding may start.

    Attributes:
        pts: ``(N,)`` int64, rising: the presentation time of each frame, in the stream's ticks.
        key_pts: ``(K,)`` int64, rising: the same of each keyframe, hidden ones included.
        key_dts: ``(K,)`` int64: the time at which each keyframe is due for decoding.
        reordered: whether frames are stored in another order than they are presented in.
        end: tick at which the last frame goes; that frame's own time where its packet tells none.
    """

    pts: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    reordered: bool
    end: int

    def key_before(self, index: int) -> Keyframe:
        """The last keyframe presented at or before frame ``index``.

        Decoding from there reaches frame ``index``, in open GOPs, too: frames that are shown before
        a keyframe but stored after it belong to the keyframe before.
        """
        following = int(np.searchsorted(self.key_pts, self.pts[index], "right"))
        end = self.key_pts[following] if following < len(self.key_pts) else self.pts[-1] + 1
        return Keyframe(
            int(self.key_pts[following - 1]), int(self.key_dts[following - 1]), int(end) - 1
        )

    def first_at(self, pts: int) -> int:
        """Index of the first frame presented at or after ``pts``."""
        return int(self.pts.searchsorted(pts))


def start_of(container: InputContainer) -> float:
    """When the clock of players starts, in seconds of the file: with its earliest stream. 0 if the
    file does not say."""
    return (container.start_time or 0) / av.time_base


def read_packet_table(
    container: InputContainer, stream: VideoStream, decoding: Decoding
) -> PacketTable | None:
    """Reads all packets of ``stream``. ``container`` is at its end afterwards.

    The demuxer flags packets that an edit list hides: they are decoded but not shown.

    Returns:
        None where packets may not stand for frames one to one: unknown codecs, packets without a
        presentation time, frames in front of the first keyframe.

    Raises:
        ValueError: the file ends before its packets do, or has more than ``decoding.max_frames``.
    """
    rows = _rows(container.demux(stream), decoding)
    if "mp4" in container.format.name and decoding.damage != "accept":
        promised = len(stream.index_entries)
        if len(rows) < promised:
            raise ValueError(f"the file is cut short: it holds {len(rows)} of {promised} packets")
        # An edit list may hide a part. Only a damaged time scale hides everything.
        if sum(row.is_shown for row in rows) <= 1 < SOME < stream.frames:
            raise ValueError(f"its edit list hides all but one of {stream.frames} frames")
    return _table(rows, container, stream)


def read_stretch(
    container: InputContainer, stream: VideoStream, decoding: Decoding, start: int, end: int | None
) -> PacketTable | None:
    """As ``read_packet_table``, for the frames from tick ``start`` to ``end``, or a few more.

    If the container has an index, only that part of the file is read.

    Returns:
        None also if no keyframe before ``start`` is found.
    """
    packets = _packets_before(container, stream, start)
    if packets is None:
        return None
    rows = _rows(packets, decoding, end)
    first = rows[0].pts if rows else None
    if first is None:
        return None
    # Frames shown before the first keyframe but stored after it lack their references.
    rows = [
        row
        for row in rows
        if row.pts is None or (first <= row.pts and (end is None or row.pts <= end))
    ]
    return _table(rows, container, stream)


def _packets_before(
    container: InputContainer, stream: VideoStream, start: int
) -> "Iterable[Packet[VideoStream]] | None":
    """Packets in decoding order from a keyframe that is presented at or before ``start``.

    None if it cannot be reached, and for AVI, whose times change after a seek.
    """
    if container.format.name == "avi":
        return None
    if start <= (stream.start_time or 0):
        return container.demux(stream)
    back = int(1 / (stream.time_base or 1))  # a second
    target = start
    for _ in range(MAX_SEEKS):
        try:
            container.seek(target, stream=stream)
            packets = container.demux(stream)
            first = next(packets)
        except (av.FFmpegError, StopIteration):
            return None
        if first.pts is None:
            return None
        if first.is_keyframe and first.pts <= start:
            return chain([first], packets)
        target, back = min(target, first.pts) - back, 4 * back
    return None


def _rows(
    packets: "Iterable[Packet[VideoStream]]", decoding: Decoding, end: int | None = None
) -> list[PacketRow]:
    """Yields ``packets`` until all frames before tick ``end`` have come."""
    rows: list[PacketRow] = []
    for packet in packets:
        if packet.is_corrupt and decoding.damage != "accept":
            raise ValueError(f"the file is cut short or damaged after {len(rows)} packets")
        if packet.size:
            dts = packet.pts if packet.dts is None else packet.dts
            shown = not packet.is_discard
            rows.append(PacketRow(packet.pts, dts, packet.is_keyframe, shown, packet.duration or 0))
        decoding.check_length(len(rows))
        # No frame is shown before its decoding time.
        if end is not None and packet.dts is not None and packet.dts > end:
            break
    return rows


def _table(
    rows: list[PacketRow], container: InputContainer, stream: VideoStream
) -> PacketTable | None:
    stamps = {row.pts for row in rows}
    known = TIMED_IN_AVI if container.format.name == "avi" else ONE_FRAME_A_PACKET
    one_to_one = stream.codec.canonical_name in known and len(stamps) == len(rows)
    if not rows or None in stamps or not one_to_one:
        return None
    pts, due, is_key, is_shown, lasts = (np.array(column) for column in zip(*rows, strict=True))
    if not is_key[0] or not is_shown.any() or pts[is_shown].min() < pts[0]:
        return None
    keys = np.flatnonzero(is_key)
    keys = keys[np.argsort(pts[keys])]
    reordered = bool(np.any(np.diff(pts) < 0))
    end = int((pts + lasts)[is_shown].max())
    return PacketTable(np.sort(pts[is_shown]), pts[keys], due[keys], reordered, end)


def shown_size(stream: VideoStream, first: VideoFrame) -> tuple[int, int]:
    """(height, width) of a frame with square pixels, before it is turned.

    As players do, a frame whose pixels are wider than high is stretched, or else squeezed, in
    width. Later frames of other sizes are brought to that of the first.
    """
    aspect = float(stream.sample_aspect_ratio or 1)
    aspect = aspect if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else 1.0
    return first.height, max(1, round(first.width * aspect))


def clock_of(
    container: InputContainer,
    stream: VideoStream,
    stamps: Sequence[int | None],
    table: PacketTable | None,
    in_part: bool,
) -> tuple[float, NDArray[np.float64], float]:
    """Frames a second on average; when each frame comes on screen, and when the last one goes.

    In seconds on the clock of players.

    Args:
        stamps: tick of each frame, if it has one.
        table: of the packets, if frames follow from it.
        in_part: the frames are those of a stretch.
    """
    rate, start = float(stream.average_rate or 1), start_of(container)
    known = [stamp for stamp in stamps if stamp is not None]
    ticks = np.array(known, np.float64)
    if len(known) < len(stamps) or np.any(np.diff(ticks) <= 0):
        if container.format.name == "avi" and stream.duration:
            # The rate may be that of fields. The duration is right.
            rate = len(stamps) / float(stream.duration * (stream.time_base or 1))
        return rate, np.arange(len(stamps)) / rate, len(stamps) / rate
    base = float(stream.time_base or 1)
    times = ticks * base - start
    fps = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else rate
    ends = [float(times[-1]) + 1 / fps if fps else 0.0]
    if table is not None and table.end > ticks[-1]:
        ends = [table.end * base - start]
    # Matroska does not store the duration of the last frame, only that of the file.
    if len(container.streams) == 1 and not in_part:
        ends.append((container.duration or 0) / av.time_base)
    return fps, times, max(ends)
