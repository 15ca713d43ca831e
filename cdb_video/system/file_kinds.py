"""Kinds of files: by the ending of a name, and by the first bytes."""

import os

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of the names of image files, in lower case."""
HEAD = 512
"""Bytes that are looked at."""


def is_image(path: str) -> bool:
    """Whether a file is an image, by the ending of its name."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def what_instead(path: str | os.PathLike[str]) -> str | None:
    """``it is ...``: empty, a Git LFS pointer, an HTML page or other text; None if none of these.

    Raises:
        OSError: the file cannot be read.
    """
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
