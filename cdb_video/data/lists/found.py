"""Finds the videos that a command line names: files, folders, lists."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cdb_video.data.lists.clip_lists import read_clip_list
from cdb_video.data.lists.lines import as_here
from cdb_video.data.lists.records import NO_LABEL, Record
from cdb_video.errors import DataError
from cdb_video.system.file_kinds import (
    IMAGE_SUFFIXES,
    LIST_SUFFIXES,
    VIDEO_SUFFIXES,
    is_image,
    is_numbered,
    what_it_is,
)

NUM_TRIED = 1000
"""Files of a list that are looked for before all are said to be missing."""


def find_videos(
    sources: Sequence[str | Path],
    root: Path | None = None,
    tell: Callable[[str], object] = lambda text: None,
) -> list[Record]:
    """The videos that ``sources`` name, in their order, those of a folder by name.

    Args:
        sources: video or image files; folders, which are searched to the bottom; CSV files with
            the column ``path`` and perhaps times (see ``columns``).
        root: the folder that paths in lists are relative to; by default that of each list.
        tell: takes a line about what is left out, or taken for something else than one might think.

    Raises:
        DataError: one is not there, or holds no video; a line of a list is wrong.
    """
    found: list[Record] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = [Record(path, NO_LABEL) for path in _in_folder(source, tell)]
        elif source.suffix.lower() in LIST_SUFFIXES:
            inside = _in_list(source, root, tell)
        elif source.is_file():
            inside = [Record(str(source), NO_LABEL)]
        elif what := what_it_is(source):
            raise DataError(f"a video must be a file or a folder, got {source}, {what}")
        else:
            raise DataError(f"a video, folder or CSV file must exist, got {source}")
        if not inside:
            raise DataError(f"{source} holds no video")
        found += inside
    return found


def _in_folder(folder: Path, tell: Callable[[str], object]) -> Iterator[str]:
    left_out: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    for place, inner, names in os.walk(folder, followlinks=True):
        if _been(place, seen):
            inner.clear()
            continue
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        shown = sorted(name for name in names if not name.startswith("."))
        images = [name for name in shown if is_image(name)]
        if len(images) > 1 and len(images) == len(shown) and is_numbered(images):
            tell(
                f"{place}: its {len(images)} numbered images are the frames of one clip; name the "
                "images one by one to have each for itself"
            )
            yield place
            continue
        for name in shown:
            path = os.path.join(place, name)
            if not name.lower().endswith((*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)):
                left_out[os.path.splitext(name)[1].lower() or name] += 1
            elif what := what_it_is(path):
                tell(f"{path} is passed over: it is {what}")
            elif not _been(path, seen):
                yield path
    if left_out:
        kinds = ", ".join(f"{number} {ending}" for ending, number in left_out.most_common(8))
        tell(f"{folder}: files that are no videos by their names are passed over: {kinds}")


def _been(path: str, seen: set[tuple[int, int]]) -> bool:
    """Whether a file or folder was met before, by whatever name; notes it."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    known = (there.st_dev, there.st_ino) in seen
    seen.add((there.st_dev, there.st_ino))
    return known


def _in_list(path: Path, root: Path | None, tell: Callable[[str], object]) -> list[Record]:
    folder = str(path.parent if root is None else root)
    listed = read_clip_list(
        path, os.path.join(folder, ""), lambda name: as_here(folder, name), labelled=False
    )
    for note in listed.notes:
        tell(note)
    records = [record._replace(label=NO_LABEL) for record in listed.clips]
    tried = {record.path for record in records[:NUM_TRIED]}
    if tried and not any(map(os.path.exists, tried)):
        raise DataError(
            f"{path}: none of its files is there, such as {records[0].path}; --root names the "
            "folder that its paths are relative to"
        )
    return records
