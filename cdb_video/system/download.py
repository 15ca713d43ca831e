"""Downloads a file, completely or not at all."""

import sys
from pathlib import Path
from typing import Any

from cdb_video.system.files import free_space

MAX_BYTES = 50 * 10**9
"""Of one file."""
TIMEOUT_S = 30
"""Without an answer for as long, a download is given up."""


class DownloadError(Exception):
    """A file cannot be downloaded. The message is the reason, in one line."""


def download(url: str, path: Path, sha256: str | None = None) -> None:
    """Downloads ``url`` to ``path``, with a bar on a terminal.

    An existing file with the right contents is kept.

    Args:
        sha256: of the contents; None accepts any.

    Raises:
        DownloadError: the address does not give the file.
    """
    import pooch  # slow to import, and most runs download nothing
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_S, progressbar=sys.stderr.isatty())
    known = f"sha256:{sha256}" if sha256 else None
    try:
        _check_room(requests.head(url, timeout=TIMEOUT_S, allow_redirects=True), path.parent)
        pooch.retrieve(url, known, path.name, path.parent, downloader=downloader)
    except requests.HTTPError as error:
        answer = error.response
        status = f"{answer.status_code} {answer.reason}" if answer is not None else ""
        raise DownloadError(f"HTTP error {status}") from None
    except (requests.RequestException, OSError) as error:
        raise DownloadError(_innermost(error)) from None
    except ValueError:  # pooch's error for a wrong hash
        raise DownloadError("wrong checksum") from None


def _check_room(answer: Any, folder: Path) -> None:
    """Refuses a file that is larger than the free disk space, or larger than any should be."""
    size = int(answer.headers.get("Content-Length", 0)) if answer.ok else 0
    room = min(free_space(folder), MAX_BYTES)
    if size > room:
        raise DownloadError(f"it is {size:,} bytes long, there is room for {room:,}")


def _innermost(error: BaseException) -> str:
    """The cause of an error, without the words of the libraries in between."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return " ".join(str(error).split())[:160] or type(error).__name__
