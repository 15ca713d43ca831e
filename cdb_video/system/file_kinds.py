"""Kinds of files: by the ending of a name, and by the first bytes."""

import os
import re
import stat
from collections.abc import Sequence

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".divx"),
    *(".mpg", ".mpeg", ".m2v", ".ts", ".m2ts", ".mts", ".vob", ".mod", ".tod", ".wmv", ".asf"),
    *(".flv", ".ogv", ".ogm", ".gif", ".mxf", ".y4m", ".dv", ".rm", ".rmvb", ".nut", ".ivf"),
    *(".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg", ".insv", ".lrv"),
)
"""Endings of the names of video files, in lower case."""
LIST_SUFFIXES = (".csv", ".tsv")
"""Endings of the names of lists of clips, in lower case."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the names of image files, in lower case."""
HEAD = 512
"""Bytes that are looked at."""


def is_image(path: str) -> bool:
    """Whether a file is an image, by the ending of its name."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def is_numbered(names: Sequence[str]) -> bool:
    """Whether names differ in their last number alone, as those of the frames of a video do."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", name) for name in names]
    around = {(part[1], part[3]) for part in parts if part}
    return all(parts) and len(around) == 1


def what_it_is(path: str | os.PathLike[str]) -> str:
    """What stands where a file or folder should, such as 'a named pipe'; empty for these, and for
    nothing. Such a thing would let a reader wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "")


def what_instead(path: str | os.PathLike[str]) -> str | None:
    """``it is ...``: empty, a Git LFS pointer, an HTML page or other text; None if none of these.

    Raises:
        OSError: the file cannot be read.
    """
    if what := what_it_is(path):
        return f"it is {what}, not a file"
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        return "it is empty"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself; 'git lfs pull' gets that"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "it is an HTML or XML page, such as a failed download leaves"
    return "it is text" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    try:
        # The last character may be truncated.
        text = head.decode("utf-8", "ignore" if len(head) == HEAD else "strict")
    except UnicodeDecodeError:
        return False
    printable = sum(character.isprintable() or character in "\t\r\n" for character in text)
    return len(text.encode()) > len(head) - 4 and printable == len(text)
