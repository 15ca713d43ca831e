"""Locks that disappear with their process, whatever ends it."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cdb_video.errors import ConfigError


class InUse(ConfigError):
    """Another process holds the lock. The message names the process, its machine and the time."""


@contextmanager
def locked(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Holds the lock file ``path``, which names its holder. It is removed at the end.

    Raises:
        InUse: another process still holds it after ``wait_s`` seconds.
        OSError: the file cannot be created.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise InUse(f"{path.parent} is in use by {_holder(path)}; wait for it to end") from None
    try:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.ctime()}
        path.write_text(json.dumps(holder), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held, so nobody else's is removed
        lock.release()


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"pid {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
