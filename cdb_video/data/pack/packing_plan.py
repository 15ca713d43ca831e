"""Chooses the paths of packed clips, and writes the lists that name them."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cdb_video.data.lists.records import Record
from cdb_video.errors import ConfigError
from cdb_video.system.csv_rows import write_csv
from cdb_video.system.files import replacing

LARGEST_LIST = 1 << 30
"""Bytes; a larger file beside the clips is no list of them."""
LISTS = (".csv", ".json", ".txt", ".tsv", ".yaml", ".yml")


class PackingPlan(NamedTuple):
    """The clips to pack, and their new paths."""

    clips: dict[Path, Record]
    """Each file that is to be written, by its path, with the record that it comes from."""
    cut: bool
    """Whether clips are parts of files, which become files of their own, named in new lists."""

    def places(self) -> dict[tuple[str, float | None, float | None], Path]:
        """(path, start, end) of a record -> its new path."""
        return {(r.path, r.start, r.end): path for path, r in self.clips.items()}


def plan_packing(root: Path, out: Path, splits: Mapping[str, Iterable[Record]]) -> PackingPlan:
    """Plans the path of each record of each split.

    Raises:
        ConfigError: ``out`` is ``root``, or a clip lies outside ``root``.
    """
    if os.path.realpath(out) == os.path.realpath(root):
        raise ConfigError(f"--out must be another folder than the data's, got {out} for both")
    records = [record for split in splits.values() for record in split]
    cut = any(record.start is not None or record.end is not None for record in records)
    clips: dict[Path, Record] = {}
    for record in records:
        name = _name_under(root, record.path)
        clips[out / (_cut_name(name, record) if cut else name)] = record
    return PackingPlan(clips, cut)


def write_lists(
    root: Path,
    out: Path,
    splits: Mapping[str, Iterable[Record]],
    names: list[str],
    plan: PackingPlan,
) -> None:
    """Copies the lists of the data set to ``out``, or writes ``train.csv`` and so on there."""
    if plan.cut:
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


def _cut_name(name: str, record: Record) -> str:
    """``folder/film.mp4`` from 1 s to 2.5 s is ``folder/film/1.000-2.500.mp4``."""
    start = f"{record.start or 0:.3f}"
    end = "end" if record.end is None else f"{record.end:.3f}"
    return f"{os.path.splitext(name)[0]}/{start}-{end}.mp4"
