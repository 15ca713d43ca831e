"""A record of one clip, and many records in little memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

NO_LABEL = -1
"""Of a record whose class is not known."""
AT_ONCE = 65_536
"""Paths that are made of bytes, or bytes of paths, at a time."""


class Record(NamedTuple):
    """One labelled clip: the part ``[start, end)`` in seconds of a video file.

    ``None`` for ``start`` or ``end`` means the beginning or the end of the file. Seconds count as
    in players: from the start of the earliest stream.
    """

    path: str
    label: int
    start: float | None = None
    end: float | None = None


class Paths:
    """N paths as one array of bytes. Forked processes share it. They would copy strings, because
    reading a string changes its reference count."""

    def __init__(self, chunks: Iterable[Sequence[str]]) -> None:
        pieces: list[bytes] = []
        lengths: list[npt.NDArray[np.int64]] = [np.zeros(1, np.int64)]
        hashes: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
        for paths in chunks:
            text = "".join(paths)
            pieces.append(text.encode("utf-8", "surrogateescape"))
            sizes = map(len, paths if text.isascii() else map(_encoded, paths))
            lengths.append(np.fromiter(sizes, np.int64, len(paths)))
            hashes.append(np.fromiter(map(hash, paths), np.int64, len(paths)))
        self._text = np.frombuffer(b"".join(pieces), dtype=np.uint8)
        self._ends = np.cumsum(np.concatenate(lengths))
        self.hashes = np.concatenate(hashes)
        """(N,) equal for equal paths, and hardly ever for others."""

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        begin, end = self._ends[index], self._ends[index + 1]
        return self._text[begin:end].tobytes().decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), AT_ONCE):
            ends = self._ends[first : first + AT_ONCE + 1]
            text = self._text[ends[0] : ends[-1]].tobytes()
            places = (ends - ends[0]).tolist()
            for begin, end in zip(places, places[1:], strict=False):
                yield text[begin:end].decode("utf-8", "surrogateescape")


class RecordTable(Sequence[Record]):
    """N records in a few arrays. It equals a list of the same records.

    Args:
        paths: of the files.
        labels: (N,).
        spans: (N, 2) start and end in seconds, NaN for None.
    """

    def __init__(
        self, paths: Paths, labels: npt.NDArray[np.int64], spans: npt.NDArray[np.float64]
    ) -> None:
        self.paths, self.labels, self.spans = paths, labels, spans

    @classmethod
    def of(cls, records: Sequence[Record]) -> "RecordTable":
        """``records`` as a table. A table is returned unchanged."""
        if isinstance(records, cls):
            return records
        nan = float("nan")
        spans = [[nan if s is None else s for s in record[2:4]] for record in records]
        return cls(
            Paths([[record.path for record in records]]),
            np.array([record.label for record in records], dtype=np.int64),
            np.array(spans, dtype=np.float64).reshape(-1, 2),
        )

    def keys(self) -> npt.NDArray[np.int64]:
        """(N,) hashes: equal for equal clips, hardly ever for others."""
        keys = self.paths.hashes.copy()
        if not np.isnan(self.spans).all():
            for column, factor in zip(self.spans.T, (3, 5), strict=True):
                keys += factor * np.ascontiguousarray(column).view(np.int64)
        return keys

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._record(range(len(self))[index])

    def __iter__(self) -> Iterator[Record]:
        for index, path in enumerate(self.paths):
            yield self._record(index, path)

    def _record(self, index: int, path: str | None = None) -> Record:
        start, end = (None if s != s else s for s in self.spans[index].tolist())
        path = self.paths[index] if path is None else path
        return Record(path, int(self.labels[index]), start, end)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
