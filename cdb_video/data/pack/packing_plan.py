"""Chooses the paths of packed clips, and writes the lists that name them."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cdb_video.data.lists.records import Record
from cdb_video.errors import ConfigError
from cdb_video.system.csv_rows import write_csv
from cdb_video.system.files import replacing

LARGEST_LIST = 1 << 30
"""Bytes; a larger file beside the clips is no list of them."""
LISTS = (".csv", ".json", ".txt", ".tsv", ".yaml", ".yml")


Span = tuple[str, float | None, float | None]


class PackingPlan(NamedTuple):
    """The clips to pack, and their new paths."""

    clips: dict[Path, Record]
    """Each file that is to be written, by its path, with the record that it comes from."""
    new_lists: bool
    """Whether clips are parts of files, which become files of their own, or are named by absolute
    paths: then new lists name the packed files."""

    def places(self) -> dict[Span, Path]:
        """(path, start, end) of a record -> its new path."""
        return {(r.path, r.start, r.end): path for path, r in self.clips.items()}


def plan_packing(root: Path, out: Path, splits: Mapping[str, Iterable[Record]]) -> PackingPlan:
    """Plans the path of each record of each split.

    No two clips have one path, and a clip has the same one whatever other clips there are, but for
    clips of files that differ in the ending of their names alone, or in less than a millisecond.

    Raises:
        ConfigError: ``out`` is ``root``, or a clip lies outside ``root``.
    """
    if os.path.realpath(out) == os.path.realpath(root):
        raise ConfigError(f"--out must be another folder than the data's, got {out} for both")
    records = [record for split in splits.values() for record in split]
    cut = any(record.start is not None or record.end is not None for record in records)
    clips: dict[Path, Record] = {}
    seen: set[Span] = set()
    for record in records:
        key = (record.path, record.start, record.end)
        if key in seen:
            continue
        name = _name_under(root, record.path)
        names = [*_cut_names(name, record)] if cut else [name]
        path = next((out / one for one in names if out / one not in clips), None)
        if path is None:
            raise ConfigError(f"two clips would be packed as {out / names[0]}: {record.path}")
        seen.add(key)
        clips[path] = record
    return PackingPlan(clips, cut or _name_root(root))


def write_lists(
    root: Path,
    out: Path,
    splits: Mapping[str, Iterable[Record]],
    names: list[str],
    plan: PackingPlan,
) -> None:
    """Copies the lists of the data set to ``out``, or writes ``train.csv`` and so on there."""
    if plan.new_lists:
        places = plan.places()
        for split, records in splits.items():
            rows = [
                (places[r.path, r.start, r.end].relative_to(out).as_posix(), names[r.label])
                for r in records
            ]
            with replacing(out / f"{split}.csv") as partial:
                write_csv(partial, [("path", "label"), *rows], for_spreadsheets=False)
        return
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not Path(folder, name).samefile(out)]
        for name in files:
            path = Path(folder, name)
            place = out / path.relative_to(root)
            if path.suffix.lower() in LISTS and path.stat().st_size < LARGEST_LIST:
                place.parent.mkdir(parents=True, exist_ok=True)
                with replacing(place) as partial:
                    shutil.copy2(path, partial)


def _name_under(root: Path, path: str) -> str:
    """The path relative to ``root``. Links are not followed: ``root`` may be one itself."""
    for way in (os.path.abspath, os.path.realpath):
        name = os.path.relpath(way(path), way(root))
        if not name.startswith(os.pardir):
            return name
    raise ConfigError(f"clips must lie under {root} to be packed, got {path}")


def _cut_names(name: str, record: Record) -> Iterator[str]:
    """``folder/film.mp4`` from 1 s to 2.5 s is ``folder/film/1.000-2.500.mp4``.

    Where another clip has that name, the whole name of the file and more digits tell them apart.
    """
    for stem, digits in ((os.path.splitext(name)[0], 3), (name, 3), (name, 9)):
        start = f"{record.start or 0:.{digits}f}"
        end = "end" if record.end is None else f"{record.end:.{digits}f}"
        yield f"{stem}/{start}-{end}.mp4"


def _name_root(root: Path) -> bool:
    """Whether a CSV list under ``root`` names files by their absolute paths."""
    top = os.fsencode(os.path.join(os.path.abspath(root), ""))
    lists = [path for path in root.glob("*.csv") if path.stat().st_size < LARGEST_LIST]
    return any(top in path.read_bytes() for path in lists)
