"""Finds the published files of a data set below any folder."""

import gzip
import zlib
from collections import defaultdict
from pathlib import Path

from cdb_video.errors import DataError
from cdb_video.fetch.layouts import Contents, Files, digest_is


def read_unpacked(path: Path) -> bytes:
    """The contents of a file; those of ``.gz`` are unpacked. Empty if it is damaged."""
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

    A file may be packed with gzip. In the name of an IDX file, a dot before ``idx`` counts as a
    dash. If several files have the same name, as in a folder with MNIST and Fashion-MNIST, the one
    with the right contents is taken.

    Raises:
        DataError: a file is missing or has other contents.
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
