"""Unpacks archives into a folder. No file can be written outside of it."""

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from cdb_video.errors import DataError

ARCHIVES = ".tar, .tar.gz, .tgz, .zip, .npz"
DAMAGE = tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError
"""What the readers of archives raise; the last for a password or an unknown compression."""


MAX_BYTES = 50 * 10**9
"""Of all that an archive holds: several times what the largest of the data sets takes."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks ``archive``, of a kind that ``ARCHIVES`` lists, into ``folder``.

    Raises:
        DataError: the archive is damaged, of another kind, or holds a path outside of ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                _check_size(sum(member.file_size for member in zipped.infolist()))
                zipped.extractall(folder)  # zipfile drops roots and ".." from names
        elif archive.name.endswith((".tar", ".tar.gz", ".tgz")):
            with tarfile.open(archive) as tarred:
                _check_size(sum(member.size for member in tarred))
                tarred.extractall(folder, filter="data")
        elif archive.suffix == ".npz":  # read without unpacking
            shutil.copy(archive, folder)
        else:
            raise DataError(f"an archive must be a folder or one of {ARCHIVES}, got {archive.name}")
    except (*DAMAGE, OSError) as error:
        why = str(error).partition("\n")[0]  # tarfile adds a line for each method
        raise DataError(f"{archive} cannot be unpacked: {why}") from None


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise DataError(f"an archive must hold at most {MAX_BYTES:,} bytes, got {size:,}")
