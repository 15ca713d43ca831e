"""Downloads a file: from several addresses, going on where it stopped, with its checksum."""

import os
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from cdb_video.errors import DataError
from cdb_video.fetch.layouts import digest_is

TRIES = 10
"""Times that one address is asked for the rest, as long as each time gives something."""
TIMEOUT_S = 30
CHUNK = 1 << 18


class Download(NamedTuple):
    """A file on the network."""

    name: str
    size: int
    """In bytes."""
    sha256: str
    urls: tuple[str, ...]
    """Folders that hold it, tried in turn."""


def download(item: Download, folder: Path) -> Path:
    """Downloads ``item`` into ``folder``, unless it lies there already, and returns its path.

    What has come so far lies beside it as ``NAME.partial``, and the next call goes on from there.
    The file gets its name when its checksum is right.

    Raises:
        DataError: no address gives the file; the message says what became of each.
    """
    path, partial = folder / item.name, folder / f"{item.name}.partial"
    if path.is_file() and _is_whole(path, item):
        return path
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    troubles = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for url in item.urls:
            trouble = _download_from(url, item, partial, progress)
            if trouble is None:
                os.replace(partial, path)
                return path
            troubles.append(f"{urlsplit(url).netloc}: {trouble}")
    raise DataError(f"{item.name} cannot be downloaded ({'; '.join(troubles)})")


def _download_from(url: str, item: Download, partial: Path, progress: Progress) -> str | None:
    """Fills ``partial``; returns what went wrong, or ``None`` if it is whole."""
    trouble = ""
    bar = progress.add_task(item.name, total=item.size)
    for _ in range(TRIES):
        before = partial.stat().st_size if partial.exists() else 0
        try:
            if before < item.size:
                _append(url + item.name, item.size, partial, progress, bar)
        except (OSError, HTTPException) as error:
            reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
            trouble = str(reason)
            if partial.exists() and partial.stat().st_size > before:
                continue
            break
        if _is_whole(partial, item):
            return None
        partial.unlink()
        trouble = "wrong checksum"
        if not before:
            break  # else the first part may be to blame, which came from elsewhere
    progress.remove_task(bar)
    return trouble


def _append(url: str, size: int, partial: Path, progress: Progress, bar: TaskID) -> None:
    """Appends to ``partial`` what it lacks of ``size`` bytes.

    Raises:
        OSError, HTTPException: the server does not answer, or not with the whole rest.
    """
    start = partial.stat().st_size if partial.exists() else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urlopen(request, timeout=TIMEOUT_S) as response:
        if response.status != 206:  # not all servers can start in the middle
            start = 0
        if response.length not in (None, size - start):  # some other page, which must not be kept
            raise OSError(f"{response.length} bytes are offered instead of {size - start}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "ab" if start else "wb") as file:
            while start < size and (chunk := response.read(min(CHUNK, size - start))):
                start += file.write(chunk)
                progress.update(bar, completed=start)
    if start < size:
        raise OSError(f"the connection broke off after {start} of {size} bytes")


def _is_whole(path: Path, item: Download) -> bool:
    return digest_is(path.read_bytes(), item.sha256)
