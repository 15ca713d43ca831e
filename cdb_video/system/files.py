"""Writes files so that a reader finds a complete file, even after a kill at any moment."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_NAME = 255
"""Bytes that a name may have on usual file systems."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to. It replaces ``path`` when the block succeeds.

    Data reaches the disk before the name does, so the name never points to half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_of(path)
    try:
        yield partial
        finish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces ``path`` by a UTF-8 file with ``text``; names of files in it may be of any bytes."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside ``path``. It replaces ``path`` when the block succeeds.

    The earlier content of ``path`` is removed: it must be the caller's own.
    """
    partial = _partial_of(path)
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def finish(partial: Path, path: Path) -> None:
    """Renames a complete file to ``path``, after its data has reached the disk."""
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    _sync_folder(path.parent)


def point(path: Path, target: Path) -> None:
    """Makes ``path`` the same file as ``target``: a hard link, or a copy if links fail."""
    partial = _partial_of(path)
    partial.unlink(missing_ok=True)
    try:
        os.link(target, partial)
    except OSError:
        shutil.copyfile(target, partial)
    os.replace(partial, path)
    partial.unlink(missing_ok=True)  # still there if both already were the same file
    _sync_folder(path.parent)


def free_space(folder: Path) -> int:
    """Free bytes on the disk of ``folder``, which may not exist yet."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def remove_if_empty(folder: Path) -> None:
    """Removes a folder unless it holds something."""
    with suppress(OSError):
        folder.rmdir()


def stamp_of(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Bytes of a file, and when it was written, in nanoseconds; None where there is none."""
    try:
        there = os.stat(path)
    except (OSError, ValueError):
        return None
    return there.st_size, there.st_mtime_ns


def sha256(path: Path) -> str:
    """The digest of a file's contents, in hexadecimal."""
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _partial_of(path: Path) -> Path:
    """A temporary name beside ``path``, short enough whatever its name."""
    name = f"{path.name}.partial"
    if len(os.fsencode(name)) > MAX_NAME:
        name = f"{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.partial"
    return path.with_name(name)
