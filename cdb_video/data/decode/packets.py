"""What the packets of a file tell about its frames, read without decoding any."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

ONE_FRAME_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores"})
# AVI stores no time of presentation; what the demuxer makes up holds for these alone.
TIMED_IN_AVI = frozenset({"mpeg4", "mjpeg"})


class Keyframe(NamedTuple):
    """Times in ticks: of presentation, of decoding, and the last one before the next keyframe."""

    pts: int
    dts: int
    last: int


@dataclass(frozen=True)
class PacketTable:
    """The presented frames of a file and the places where decoding may start.

    Attributes:
        pts: ``(N,)`` int64, rising: the presentation time of each frame, in the stream's ticks.
        key_pts: ``(K,)`` int64, rising: the same of each keyframe, hidden ones included.
        key_dts: ``(K,)`` int64: the time at which each keyframe is due for decoding.
        reordered: whether frames are stored in another order than they are presented in.
    """

    pts: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    reordered: bool

    def key_before(self, index: int) -> Keyframe:
        """The last keyframe presented at or before frame ``index``.

        Decoding from there gives frame ``index`` also where groups of pictures are open: frames
        shown before a keyframe but stored behind it belong to the keyframe before.
        """
        following = int(np.searchsorted(self.key_pts, self.pts[index], "right"))
        end = self.key_pts[following] if following < len(self.key_pts) else self.pts[-1] + 1
        return Keyframe(
            int(self.key_pts[following - 1]), int(self.key_dts[following - 1]), int(end) - 1
        )

    def first_at(self, pts: int) -> int:
        """Index of the first frame presented at or after ``pts``."""
        return int(np.searchsorted(self.pts, pts))


def read_packet_table(container: InputContainer, stream: VideoStream) -> PacketTable | None:
    """Reads all packets of ``stream``; leaves ``container`` at its end.

    Packets that an edit list hides are flagged by the demuxer; they are decoded but not shown.

    Returns:
        None where packets may not stand for frames one to one: unknown codecs, packets without a
        presentation time, frames in front of the first keyframe.

    Raises:
        ValueError: the file ends before its packets do.
    """
    rows: list[tuple[int | None, int | None, bool, bool]] = []
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise ValueError(f"the file is cut short or damaged after {len(rows)} packets")
        if packet.size:
            dts = packet.pts if packet.dts is None else packet.dts
            rows.append((packet.pts, dts, packet.is_keyframe, not packet.is_discard))
    promised = len(stream.index_entries) if "mp4" in container.format.name else 0
    if len(rows) < promised:
        raise ValueError(f"the file is cut short: it holds {len(rows)} of {promised} packets")
    stamps = {row[0] for row in rows}
    known = TIMED_IN_AVI if container.format.name == "avi" else ONE_FRAME_A_PACKET
    one_to_one = stream.codec.canonical_name in known and len(stamps) == len(rows)
    if not rows or None in stamps or not one_to_one:
        return None
    pts, due, is_key, is_shown = (np.array(column) for column in zip(*rows, strict=True))
    if not is_key[0] or not is_shown.any() or pts[is_shown].min() < pts[0]:
        return None
    keys = np.flatnonzero(is_key)
    keys = keys[np.argsort(pts[keys])]
    reordered = bool(np.any(np.diff(pts) < 0))
    return PacketTable(np.sort(pts[is_shown]), pts[keys], due[keys], reordered)
