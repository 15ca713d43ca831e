"""Finds the videos that a command line names: files, folders, lists."""

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cdb_video.data.lists.records import NO_LABEL, Record
from cdb_video.errors import DataError
from cdb_video.system.file_kinds import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (
    ".mp4",
    ".mkv",
    ".webm",
    ".avi",
    ".mov",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".m2ts",
    ".mts",
    ".wmv",
    ".flv",
    ".3gp",
    ".ogv",
    ".gif",
    ".mxf",
    ".y4m",
    ".vob",
)
"""Endings of the names of video files, in lower case: what is looked for in a folder."""


def find_videos(sources: Sequence[str | Path]) -> list[Record]:
    """The videos that ``sources`` name, in their order, those of a folder by name.

    Args:
        sources: video or image files; folders, which are searched to the bottom; CSV files with
            the header ``path`` and perhaps ``start,end`` (seconds), relative to their own folder.

    Raises:
        DataError: one is not there, or holds no video; a line of a list is wrong.
    """
    found: list[Record] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = [Record(path, NO_LABEL) for path in _in_folder(source)]
        elif source.suffix.lower() == ".csv":
            inside = list(_in_list(source))
        elif source.is_file():
            inside = [Record(str(source), NO_LABEL)]
        else:
            raise DataError(f"a video, folder or CSV file must exist, got {source}")
        if not inside:
            raise DataError(f"{source} holds no video")
        found += inside
    return found


def _in_folder(folder: Path) -> Iterator[str]:
    for place, inner, names in os.walk(folder, followlinks=True):
        inner.sort()
        for name in sorted(names):
            if name.lower().endswith((*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)):
                yield os.path.join(place, name)


def _in_list(path: Path) -> Iterator[Record]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    reader = csv.DictReader(io.StringIO(text))
    if "path" not in (reader.fieldnames or []):
        raise DataError(f"{path} must have the header path, or path,start,end, got {text[:60]!r}")
    for row in reader:
        try:
            start, end = _second(row.get("start")), _second(row.get("end"))
            if not row["path"] or (end is not None and end <= (start or 0.0)):
                raise ValueError
        except ValueError:
            raise DataError(
                f"{path}, line {reader.line_num}: a path, and seconds start < end if any, must be "
                f"there, got {row}"
            ) from None
        yield Record(os.path.join(path.parent, row["path"]), NO_LABEL, start, end)


def _second(cell: str | None) -> float | None:
    if not cell:
        return None
    second = float(cell)
    if not math.isfinite(second) or second < 0:
        raise ValueError
    return second
