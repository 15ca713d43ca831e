"""Gets a data set from the network or from files of the user, and checks it."""

import gzip
import shutil
from pathlib import Path

from cdb_video.demo.egtea import make_demo_data
from cdb_video.errors import DataError
from cdb_video.fetch.by_hand import BY_HAND
from cdb_video.fetch.layouts import Contents, digest_is
from cdb_video.fetch.mirrors import from_mirrors
from cdb_video.fetch.published import is_complete, published_files, read_unpacked
from cdb_video.fetch.sets import SETS, DataSet
from cdb_video.fetch.unpack import DAMAGE, unpack
from cdb_video.system.files import replacing

NAMES = (*SETS, "demo", *BY_HAND)


def get_data(name: str, out: Path, path: Path | None = None) -> None:
    """Gets the data set ``name``, one of ``NAMES``, or prints how to get it by hand.

    Raises:
        DataError: as ``install``.
    """
    if name in SETS:
        install(SETS[name], out, path)
    elif path is not None:
        raise DataError(f"--from is for {', '.join(SETS)}, got {name}")
    elif name == "demo":
        make_demo_data(out)
    else:
        print(f"{BY_HAND[name]}\nPut it into {out}, laid out as datasets/README.md shows.")


def install(dataset: DataSet, out: Path, path: Path | None = None) -> None:
    """Puts the files of ``dataset`` into the folder ``out``, unless they lie there already.

    Files get their names when all of them are complete and their checksums are right.

    Args:
        dataset: one of ``SETS``.
        out: the root of the data set.
        path: folder or archive with the user's files; None downloads them.

    Raises:
        DataError: no server gives the right file, or ``out`` is not writable.
    """
    if path is None and is_complete(out, dataset.files):
        print(f"{out}: the data is there already")
        return
    scratch = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir(parents=True)
        if path is None:
            contents = _download(dataset, out, scratch)
        else:
            contents = convert(dataset, _folder_of(path, scratch), str(path))
        write_files(contents, out)
        for item in dataset.downloads if path is None else ():
            if item.name not in contents:
                (out / item.name).unlink()
    except OSError as error:
        raise DataError(f"{out} cannot be made: {error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{out}: {', '.join(contents)}")


def convert(dataset: DataSet, folder: Path, origin: str) -> Contents:
    """The files of the data set, from any known layout below ``folder``.

    Raises:
        DataError: there is no known layout, or the contents are not those of the data set. The
            message begins with ``origin``.
    """
    try:
        for reader in dataset.readers:
            contents = reader(folder)
            if contents is None:
                continue
            if all(digest_is(contents[name], digest) for name, digest in dataset.files.items()):
                return contents
            raise DataError("the images or labels are not the published ones")
        return published_files(folder, dataset.files)
    except (*DAMAGE, DataError, KeyError, OSError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{origin} does not hold the data set: {error}") from None


def write_files(contents: Contents, out: Path) -> None:
    """Writes files below ``out``. Correct files stay."""
    for name, data in contents.items():
        path = out / name
        if path.is_file() and read_unpacked(path) == data:
            continue
        # The header has no time, so the same data gives the same file.
        packed = gzip.compress(data, 6, mtime=0) if name.endswith(".gz") else data
        with replacing(path) as partial:
            partial.write_bytes(packed)


def _download(dataset: DataSet, out: Path, scratch: Path) -> Contents:
    """Downloads the files, or archives of them, which are deleted after unpacking."""
    for item in dataset.downloads:
        digest = dataset.files.get(item.name)
        if digest is not None and is_complete(out, {item.name: digest}):
            continue  # another archive may have it
        try:
            file = from_mirrors(item, out)
        except DataError as error:
            raise DataError(f"{error}; another way: --from PATH") from None
        if item.name not in dataset.files:
            unpack(file, scratch / "archive")
    is_unpacked = (scratch / "archive").exists()
    return published_files(scratch if is_unpacked else out, dataset.files)


def _folder_of(path: Path, scratch: Path) -> Path:
    if path.is_dir():
        return path
    if not path.is_file():
        raise DataError(f"--from must be a folder or an archive, got {path}")
    unpack(path, scratch / "archive")
    return scratch / "archive"
