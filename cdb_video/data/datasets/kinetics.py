"""Kinetics-400, -600 and -700 (Kay et al., 2017): the official CSV files, clips in any place."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from cdb_video.data.datasets.base import SPLITS, LabelledClips, Origin
from cdb_video.data.datasets.class_files import read_class_names
from cdb_video.data.datasets.csv_lists import csv_rows
from cdb_video.data.datasets.list_options import ListOptions
from cdb_video.data.lists.lines import composed, opened
from cdb_video.data.lists.records import Record
from cdb_video.errors import ConfigError, DataError
from cdb_video.registry import DATASETS

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


class KineticsRow(NamedTuple):
    """A clip as the list has it."""

    label: str
    video: str
    start: float
    end: float


@DATASETS.register("kinetics")
class Kinetics(LabelledClips):
    """Kinetics: ten seconds of YouTube videos, 400 to 700 actions, from the official CSV files.

    The header is ``label,youtube_id,time_start,time_end,split``, perhaps with ``is_cc``. PATH says
    where the clip of a row lies. Classes are numbered in the order of their names. ORDER says how
    blanks and quotes are sorted, because published networks differ there. Many videos are gone
    from YouTube: SKIP_MISSING leaves out missing clips.
    """

    @dataclass(frozen=True)
    class Options(ListOptions):
        """Where the clips and their lists lie."""

        root: str = "datasets/kinetics400"
        test: str = "test.csv"
        """The test list. If the official one has no labels, as in some years, name val.csv."""

        path: str = "{split}/{id}_{start}_{end}.mp4"
        """Path of a clip under ROOT. ``{split}`` stands for train, val or test, ``{id}`` for the
        YouTube id, ``{start}`` and ``{end}`` for its seconds in six digits, ``{label}`` for the
        class, and ``{label_}`` for the class with underscores for blanks."""

        order: Literal["underscores", "names"] = "underscores"
        """Order in which classes are numbered. 'underscores' sorts names without quotes and with
        underscores for blanks, as MMAction2 does. 'names' sorts them as they are."""

        class_names: str = ""
        """File under ROOT with the class names in the order of their numbers, instead of ORDER. It
        holds a list, lines of 'number name', or {name: number}."""

        skip_missing: bool = False
        """Leave out clips whose file is missing."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        try:
            options.path.format(split="", id="", start="", end="", label="", label_="")
        except (LookupError, ValueError, AttributeError):
            raise ConfigError(
                "PATH may hold {split}, {id}, {start}, {end}, {label} and {label_}, got "
                f"{options.path!r}"
            ) from None
        self._must_hold(f"{options.train} and the clips")
        rows = list(self._rows("train"))
        if options.class_names:
            self.class_names = read_class_names(self.root / options.class_names)
        else:
            names = {composed(row.label) for row in rows}
            self.class_names = sorted(
                names, key=plain_name if options.order == "underscores" else None
            )
        self._label_of = {plain_name(name): label for label, name in enumerate(self.class_names)}

    def _read(self, split: str) -> list[Record]:
        records = []
        for row in self._rows(split):
            label = self._label_of.get(plain_name(composed(row.label)))
            if label is None:
                raise DataError(
                    f"{self._list(split)}: {row.label!r:.60} of {row.video} is no class of the "
                    "training list"
                )
            path = self._place(split, row)
            if not self.options.skip_missing or os.path.isfile(path):
                records.append(Record(path, label))
        return records

    def _list(self, split: str) -> Path:
        return self.root / str(getattr(self.options, split))

    def _rows(self, split: str) -> Iterator[KineticsRow]:
        assert split in SPLITS
        with opened(self._list(split)) as file:
            for line, cells in csv_rows(self._list(split), file, COLUMNS):
                label, video, *times = cells
                if not label:
                    raise line.error("the clip has no label, as in official test lists")
                try:
                    yield KineticsRow(label, video, *map(float, times))
                except ValueError:
                    raise line.error("time_start and time_end must be seconds") from None

    def _place(self, split: str, row: KineticsRow) -> str:
        # An official list that stands for another split names its own folder.
        folder = Path(str(getattr(self.options, split))).stem
        name = self.options.path.format(
            split=folder if folder in SPLITS else split,
            id=row.video,
            start=f"{int(row.start):06}",
            end=f"{int(row.end):06}",
            label=row.label.strip('"'),
            label_=plain_name(row.label),
        )
        try:
            return self.path_of(name)
        except ValueError as error:
            raise DataError(f"{self._list(split)}: {error}") from None

    def source(self, record: Record) -> Origin:
        """The YouTube video, as far as the name of the file tells."""
        video, *times = Path(record.path).stem.rsplit("_", 2)
        if len(times) < 2 or not all(time.isdecimal() for time in times):
            return super().source(record)
        return Origin(video, float(times[0]), float(times[1]))


def plain_name(name: str) -> str:
    """The name without quotes, and with underscores for blanks."""
    return name.replace('"', "").replace(" ", "_")
