"""What the packets of a file tell about its frames, read without decoding any."""

from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

ONE_FRAME_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores"})


@dataclass(frozen=True)
class PacketTable:
    """The presented frames of a file and the places where decoding may start.

    Attributes:
        pts: ``(N,)`` int64, rising: the presentation time of each frame, in the stream's ticks.
        key_pts: ``(K,)`` int64, rising: the same of each keyframe, hidden ones included.
    """

    pts: NDArray[np.int64]
    key_pts: NDArray[np.int64]

    def key_before(self, index: int) -> int:
        """Presentation time of the last keyframe at or before frame ``index``.

        Decoding from there gives frame ``index`` also where groups of pictures are open: frames
        shown before a keyframe but stored behind it belong to the keyframe before.
        """
        return int(self.key_pts[np.searchsorted(self.key_pts, self.pts[index], "right") - 1])

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
    packets = [packet for packet in container.demux(stream) if packet.size]
    promised = len(stream.index_entries) if "mp4" in container.format.name else 0
    if len(packets) < promised or any(packet.is_corrupt for packet in packets):
        raise ValueError(f"the file is cut short or damaged after {len(packets)} packets")
    stamps = [packet.pts for packet in packets if packet.pts is not None]
    shown = [p.pts for p in packets if p.pts is not None and not p.is_discard]
    keys = [packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None]
    if (
        stream.codec.canonical_name not in ONE_FRAME_A_PACKET
        or len(stamps) < len(packets)
        or len(set(stamps)) < len(stamps)
        or not shown
        or not packets[0].is_keyframe
        or min(shown) < stamps[0]
    ):
        return None
    return PacketTable(np.sort(np.array(shown, np.int64)), np.sort(np.array(keys, np.int64)))
