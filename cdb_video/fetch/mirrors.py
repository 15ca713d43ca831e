"""Downloads a published file from the first address that works."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from cdb_video.errors import DataError
from cdb_video.system import download as downloads


class Download(NamedTuple):
    """A file on the network."""

    name: str
    sha256: str
    urls: tuple[str, ...]
    """Folders that hold it, tried in turn."""


def from_mirrors(item: Download, folder: Path) -> Path:
    """Downloads ``item`` into ``folder``, unless it lies there already, and returns its path.

    Raises:
        DataError: no address gives the file. The message has the error of each.
    """
    path, is_new = folder / item.name, not folder.exists()
    troubles = []
    for url in item.urls:
        try:
            downloads.download(url + item.name, path, item.sha256)
        except downloads.DownloadError as error:
            troubles.append(f"{urlsplit(url).netloc}: {error}")
        else:
            return path
    if is_new:
        with suppress(OSError):  # it is not empty
            folder.rmdir()
    raise DataError(f"{item.name} cannot be downloaded ({'; '.join(troubles)})")
