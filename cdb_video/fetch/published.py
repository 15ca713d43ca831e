"""Finds the files of a data set, as they were published, below any folder."""

import gzip
import zlib
from collections import defaultdict
from pathlib import Path

from cdb_video.errors import DataError
from cdb_video.fetch.layouts import Contents, Files, digest_is


def read_unpacked(path: Path) -> bytes:
    """The contents of a file, of ``.gz`` the unpacked ones; empty if it is damaged."""
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error):
        return b""


def is_complete(folder: Path, files: Files) -> bool:
    """Whether all ``files`` lie in ``folder`` with the right contents."""
    return all((folder / name).is_file() for name in files) and all(
        digest_is(read_unpacked(folder / name), digest) for name, digest in files.items()
    )


def published_files(folder: Path, files: Files) -> Contents:
    """``files``, which all lie somewhere below ``folder``.

    A file may be packed with gzip or not, and in the name of an IDX file the dot that some put
    before ``idx`` counts as a dash. Of files with the same name, as in a folder with both MNIST
    and Fashion-MNIST, the one with the right contents is taken.

    Raises:
        DataError: one is missing or is another.
    """
    paths = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            paths[_plain_name(path)].append(path)
    contents: Contents = {}
    for name, digest in files.items():
        candidates = paths[_plain_name(Path(name))]
        every = (read_unpacked(path) for path in candidates)
        data = next((data for data in every if digest_is(data, digest)), None)
        if data is None:
            found = "is not the published one" if candidates else "is missing"
            raise DataError(f"{Path(name).name} {found}")
        contents[name] = data
    return contents


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(".gz").replace(".idx", "-idx")
