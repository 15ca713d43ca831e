"""The folder of a prediction: its lines, written as they come, and its settings.

Several processes may share the videos, by torchrun or as a job array. Each writes a part. The last
one to finish joins them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cdb_video.errors import ConfigError
from cdb_video.system.csv_rows import write_csv
from cdb_video.system.files import replacing, stamp_of, write_text
from cdb_video.system.json_text import parsed
from cdb_video.system.lock import locked
from cdb_video.system.names import name_for

FINISHED = "finished"
NUM_SEGMENT_CELLS = 5
"""Path, start, end, class, score."""
WAIT_S = 60
"""For another process that is at what only one may do."""
Key = tuple[str, float | None, float | None]


class VideoRow(NamedTuple):
    """One line: a video, a clip or a window of one."""

    path: str
    start: float | None
    """Seconds; None is the beginning of the file."""
    end: float | None
    """Seconds; None is the end of the file."""
    class_name: str
    """Empty where there is an error."""
    score: float
    top: Sequence[tuple[str, float]]
    """The classes that are most likely, and their probabilities, the best first."""
    error: str
    """Empty where there is none."""
    stamp: tuple[int, int] | None = None
    """Of the file that was predicted; see ``stamp_of``."""

    def as_json(self) -> str:
        """The line as a dict. Its key ``class`` is a keyword in Python."""
        names = ["class" if name == "class_name" else name for name in self._fields]
        return json.dumps(dict(zip(names, self, strict=True)))


class PredictionFolder:
    """The folder of one prediction, or the share of one process in it.

    Args:
        path: made if it is missing.
        shard: number of this process, and of all.
    """

    def __init__(self, path: Path, shard: tuple[int, int] = (0, 1)) -> None:
        self.path, self._shard = path, shard
        self.table = path / "predictions.csv"
        self._lines = self._part(shard[0])
        self._lock = path / ".predictions.lock"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process from the same share. Makes the folder.

        Raises:
            InUse: another process is at work.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        number, count = self._shard
        with locked(self.path / f".predictions_{number}_of_{count}.lock"):
            yield

    def begin(self, identity: dict[str, Any], whole_files: bool) -> set[Key]:
        """Continues in the folder: drops lines with errors, and those of files that have changed.

        Args:
            identity: the settings that the lines depend on.
            whole_files: the lines of a file count only if all are there.

        Returns:
            the (path, start, end) that are done.

        Raises:
            ConfigError: it holds a prediction with other settings, or files of something else.
        """
        with locked(self._lock, WAIT_S):
            self._check(identity)
        self._repair(whole_files)
        return {(row.path, row.start, row.end) for row in _rows(self._lines)}

    def _check(self, identity: dict[str, Any]) -> None:
        made_with = self.path / "predictions.json"
        text = json.dumps(identity, indent=2) + "\n"
        if made_with.is_file():
            there = made_with.read_text(encoding="utf-8", errors="replace")
            if there != text:
                old = parsed(there)
                if not isinstance(old, dict):
                    raise ConfigError(f"{made_with} is damaged; choose another --out")
                names = [name for name in identity if old.get(name) != identity[name]]
                raise ConfigError(
                    f"{self.path} holds predictions with another {', '.join(names)}; choose "
                    "another --out"
                )
            return
        for path in (self.table, self._lines, self.path / "segments.csv"):
            if path.exists():
                raise ConfigError(f"{path} is of something else; choose another --out")
        write_text(made_with, text)

    def append(self, rows: Iterable[VideoRow]) -> None:
        """Writes the lines of one video."""
        with open(self._lines, "a", encoding="utf-8") as file:
            file.write("".join(row.as_json() + "\n" for row in rows))

    def finish(self, segments: bool) -> bool:
        """Marks this share as done. The last one joins all shares.

        Args:
            segments: join the segments, too.

        Returns:
            whether all are done.
        """
        with open(self._lines, "a", encoding="utf-8") as file:
            file.write(json.dumps(FINISHED) + "\n")
        if not self.is_finished():
            return False
        with locked(self._lock, WAIT_S):
            self._join(segments)
        return True

    def _join(self, segments: bool) -> None:
        parts = [self._part(number) for number in range(self._shard[1])]
        if len(parts) > 1:
            with replacing(self._part(None)) as partial, open(partial, "w") as file:
                for part in parts:
                    file.writelines(row.as_json() + "\n" for row in _rows(part))
        with replacing(self.table) as partial:
            write_csv(partial, _table(self._part(None)))
        if segments:
            lists = [self._segments(number) for number in range(self._shard[1])]
            rows = [cells for one in lists for cells, _ in _segments(one)]
            with replacing(self.path / "segments.csv") as partial:
                write_csv(partial, [["path", "start", "end", "class", "score"], *rows])

    def is_finished(self) -> bool:
        """Whether every share is done."""
        parts = [self._part(number) for number in range(self._shard[1])]
        return all(part.is_file() and _is_finished(part) for part in parts)

    def append_segments(self, path: str, segments: Iterable[Sequence[Any]]) -> None:
        """Writes (start, end, class name, score) of the stretches of one video."""
        with open(self._segments(self._shard[0]), "a", encoding="utf-8") as file:
            file.writelines(json.dumps([path, *one]) + "\n" for one in segments)

    def rows(self) -> Iterator[VideoRow]:
        """The lines of this share."""
        return _rows(self._lines)

    def holds_only(self, path: str) -> bool:
        """Whether all lines are of one video, or there are none."""
        return all(row.path == path for row in _rows(self._part(None)))

    def picture_of(self, path: str, name: str, alone: bool) -> Path:
        """The path of a picture or film of a video; in a folder of its own unless it is alone."""
        return self.path / name if alone else self.path / name_for(path) / name

    def _part(self, number: int | None) -> Path:
        if number is None or self._shard[1] == 1:
            return self.path / "predictions.jsonl"
        return self.path / f"predictions_{number}_of_{self._shard[1]}.jsonl"

    def _segments(self, number: int) -> Path:
        if self._shard[1] == 1:
            return self.path / "segments.jsonl"
        return self.path / f"segments_{number}_of_{self._shard[1]}.jsonl"

    def _repair(self, whole_files: bool) -> None:
        """Drops what a killed process left: a truncated line, an unfinished video."""
        if not self._lines.is_file():
            return
        now, last = cache(stamp_of), ""
        dropped: set[str] = set()
        for row in _rows(self._lines) if whole_files else ():
            last = row.path
            if not _holds(row, now(row.path)):
                dropped.add(last)
        if whole_files and not _is_finished(self._lines):
            dropped.add(last)
        done = set()
        with replacing(self._lines) as partial, open(partial, "w", encoding="utf-8") as file:
            for row in _rows(self._lines):
                if row.path not in dropped if whole_files else _holds(row, now(row.path)):
                    file.write(row.as_json() + "\n")
                    done.add(row.path)
        segments = self._segments(self._shard[0])
        if segments.is_file():
            kept = [line for cells, line in _segments(segments) if cells[0] in done]
            write_text(segments, "".join(line + "\n" for line in kept))


def _holds(row: VideoRow, now: tuple[int, int] | None) -> bool:
    """Whether a line is of the file as it is now. One of a file that is gone stays."""
    return not row.error and (row.stamp is None or now is None or row.stamp == now)


def _lines(path: Path) -> Iterator[tuple[Any, str]]:
    """Value and text of the lines that are whole."""
    if not path.is_file():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            value = parsed(line)
            if value is not None:
                yield value, line.rstrip("\n")


def _segments(path: Path) -> Iterator[tuple[list[Any], str]]:
    for cells, line in _lines(path):
        if isinstance(cells, list) and len(cells) == NUM_SEGMENT_CELLS:
            yield cells, line


def _rows(path: Path) -> Iterator[VideoRow]:
    """The lines that are whole; what somebody has damaged is as if it were not there."""
    for row, _ in _lines(path):
        try:
            top = [(str(name), float(score)) for name, score in row["top"]]
            span = [None if row[side] is None else float(row[side]) for side in ("start", "end")]
            said = (str(row["class"]), float(row["score"]), top, str(row["error"]))
            stamp = row.get("stamp")
            stamp = None if stamp is None else (int(stamp[0]), int(stamp[1]))
            yield VideoRow(str(row["path"]), span[0], span[1], *said, stamp)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError):
            continue


def _is_finished(path: Path) -> bool:
    last = json.dumps(FINISHED).encode() + b"\n"
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - len(last)))
        return file.read() == last


def _table(path: Path) -> Iterator[list[Any]]:
    """The lines as a table with as many classes as the longest line."""
    most = max((len(row.top) for row in _rows(path)), default=1)
    names = [f"{what}_{place}" for place in range(2, most + 1) for what in ("class", "score")]
    yield ["path", "start", "end", "class", "score", *names, "error"]
    for row in _rows(path):
        others: list[Any] = [cell for pair in row.top[1:] for cell in pair]
        others += [None] * (2 * (most - 1) - len(others))
        yield [row.path, row.start, row.end, row.class_name, row.score, *others, row.error]
