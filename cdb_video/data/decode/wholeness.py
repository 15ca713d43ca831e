"""Whether a file holds everything that its container promises, judged by sizes.

Only the headers of the outermost parts are read: a few bytes of a file of any length.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

TS_PACKET = 188
SAMPLE_SIZES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
"""The boxes on the way to the one with the number of samples of a track."""
MAX_PARTS = 100_000
"""Outermost boxes that are looked at: a fragmented file has two for each fragment."""


def what_is_missing(path: str | Path) -> str | None:
    """Why a video file is incomplete; None if it seems whole.

    MP4 and its relatives, Matroska, WebM, AVI, MPEG-TS and GIF state their length. Other
    containers do not.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(TS_PACKET + 1)
        size = os.fstat(file.fileno()).st_size
        for is_it, check in CONTAINERS:
            if is_it(head):
                return check(file, size)
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """Type, start of the contents and end of each box in ``[start, end)`` of an MP4 file."""
    boxes: list[tuple[bytes, int, int]] = []
    at = start
    while at + 8 <= end and len(boxes) < MAX_PARTS:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(file.read(8), "big"), 16
        elif length == 0:
            length = end - at
        if length < head:
            break
        boxes.append((kind, at + head, at + length))
        at += length
    return boxes


def _mp4(file: BinaryIO, size: int) -> str | None:
    boxes = _boxes(file, 0, size)
    if not any(kind in (b"moov", b"moof") for kind, _, _ in boxes):
        return "it is an MP4 without its index (moov): a recording or download that broke off"
    kind, _, end = boxes[-1]
    if end > size:
        return f"the file is cut short: its {kind.decode('latin-1')} ends {end - size:,} bytes on"
    return _mp4_samples(file, boxes, size)


def _mp4_samples(file: BinaryIO, boxes: list[tuple[bytes, int, int]], size: int) -> str | None:
    """Each sample takes at least a byte, in the file or in the table of sizes."""
    for wanted in SAMPLE_SIZES:
        inside = [(start, end) for kind, start, end in boxes if kind == wanted]
        boxes = [box for start, end in inside for box in _boxes(file, start, min(end, size))]
    for kind, start, _ in boxes:
        if kind == b"stsz":
            file.seek(start + 4)
            sample_size, count = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
            if count * (sample_size or 4) > size:
                return f"it claims {count:,} samples, more than {size:,} bytes can hold"
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    at = 0
    while at < size:
        file.seek(at)
        length = _ebml_length(file.read(12))
        if length is None:
            return None
        at += length
    return f"the file is cut short: it ends {at - size:,} bytes on" if at > size else None


def _ebml_length(head: bytes) -> int | None:
    """Bytes of the EBML element that begins with ``head``; None in a live recording, or if damaged.

    The zero bits that a number begins with tell how many bytes it has (RFC 8794, section 4).
    """
    id_length = 9 - head[0].bit_length()
    rest = head[id_length:]
    if not rest or not rest[0]:
        return None
    length = 9 - rest[0].bit_length()
    unknown = (1 << 7 * length) - 1
    value = int.from_bytes(rest[:length], "big") & unknown
    return None if value == unknown else id_length + length + value


def _avi(file: BinaryIO, size: int) -> str | None:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            return None
        at += 8 + length + length % 2
        # A recorder that was switched off leaves a length of 0.
        if length and at - length % 2 > size:
            return f"the file is cut short: its RIFF ends {at - size:,} bytes on"
    return None


def _ts(file: BinaryIO, size: int) -> str | None:
    if left := size % TS_PACKET:
        return f"the file is cut short: it ends after {left} of the {TS_PACKET} bytes of a packet"
    return None


def _gif(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - 64))
    if not file.read().rstrip(b"\0").endswith(b";"):
        return "the file is cut short: the mark at the end of a GIF is missing"
    return None


CONTAINERS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], str | None]], ...] = (
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"styp"), _mp4),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), _matroska),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"AVI ", _avi),
    (lambda head: head[:1] == b"G" == head[TS_PACKET:], _ts),
    (lambda head: head.startswith((b"GIF87a", b"GIF89a")), _gif),
)
