"""Files inside tar archives, which decoders can open like other files."""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

INSIDE = ".tar/"
"""Between the path of an archive and the name in it."""


class Place(NamedTuple):
    """Where a file lies in its archive."""

    offset: int
    size: int
    """In bytes."""


@lru_cache(maxsize=4096)
def members(archive: str) -> dict[str, Place]:
    """The files in an uncompressed tar archive, by name. Each process reads the headers once.

    A forked process inherits them.

    Raises:
        OSError, tarfile.TarError: it cannot be read.
    """
    with tarfile.open(archive, "r:") as file:
        found = {m.name: Place(m.offset_data, m.size) for m in file if m.isfile()}
        end = file.offset
    # A damaged header looks to tarfile as the end does, and the files behind it would be lost.
    with open(archive, "rb") as raw:
        raw.seek(end)
        if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"cut short or damaged at byte {end}, after {len(found)} files")
    return found


def content(path: str) -> bytes:
    """The bytes of ``ARCHIVE.tar/NAME``.

    Raises:
        OSError: there is no such archive, or nothing of that name in it.
    """
    archive, _, name = path.partition(INSIDE)
    archive += INSIDE[:-1]
    try:
        place = members(archive).get(name)
    except tarfile.TarError as error:
        raise OSError(f"{archive} is no tar archive: {error}") from None
    if place is None:
        raise FileNotFoundError(f"{archive} has no {name}")
    with open(archive, "rb") as file:
        file.seek(place.offset)
        return file.read(place.size)


@contextmanager
def as_file(path: str) -> Iterator[str]:
    """A path that can be opened: that of a file, or of a copy of a member of an archive.

    On Linux, the copy is in memory.
    """
    if INSIDE not in path or os.path.exists(path):
        yield path
        return
    data = content(path)
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create(os.path.basename(path)[:200])
        try:
            with open(handle, "wb", closefd=False) as file:
                file.write(data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as copy:
        copy.write(data)
        copy.flush()
        yield copy.name
