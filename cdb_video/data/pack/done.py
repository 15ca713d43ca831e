"""What was packed already: of which files, as they were, and how."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cdb_video.data.lists.records import Record
from cdb_video.data.pack.packing import Packing
from cdb_video.system.files import stamp_of
from cdb_video.system.json_text import parsed
from cdb_video.system.lock import locked


class PackedFiles:
    """The packed files in a folder, and what each was made of.

    Args:
        out: the folder; ``shard``: the number of this process, and of all.
    """

    def __init__(self, out: Path, packing: Packing, shard: tuple[int, int]) -> None:
        self._out, self._how = out, asdict(packing)
        self._name = "packed_{}_of_{}".format(*shard)
        self._known = {
            key: facts for part in out.glob("packed_*.jsonl") for key, facts in _read(part)
        }

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder, and keeps other processes from the same share.

        Raises:
            InUse: another one is at work.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        with locked(self._out / f".{self._name}.lock"):
            yield

    def has(self, path: Path, record: Record) -> bool:
        """Whether ``path`` is whole and made of ``record`` as it is now, in the same way."""
        key = path.relative_to(self._out).as_posix()
        now = stamp_of(path)
        return now is not None and self._known.get(key) == self._facts(record, now[0])

    def note(self, path: Path, record: Record) -> None:
        """Writes down that ``path`` was made of ``record``."""
        size = path.stat().st_size
        key = path.relative_to(self._out).as_posix()
        line = json.dumps({"path": key, **self._facts(record, size)})
        with open(self._out / f"{self._name}.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _facts(self, record: Record, size: int) -> dict[str, Any]:
        source = stamp_of(record.path)
        return {
            "source": os.path.basename(record.path),
            "stamp": None if source is None else [*source],
            "span": [record.start, record.end],
            "how": self._how,
            "bytes": size,
        }


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines that are whole; later ones count."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            facts = parsed(line)
            if isinstance(facts, dict) and isinstance(facts.get("path"), str):
                yield facts.pop("path"), facts
