"""The header of a list of clips: which column is the path, the label, the start, the end."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cdb_video.data.lists.times import FACTORS, seconds
from cdb_video.errors import DataError

PATHS = ("path", "file", "filename", "filepath", "video", "clip", "media")
"""Words that make up names of the column of paths, as in ``file_path`` and ``media file name``."""
LABELS = ("label", "class", "category", "action", "behavior", "behaviour", "activity")
STARTS = ("start", "begin")
ENDS = ("end", "stop")
PAIR = ("onset", "offset")
"""Start and end where both are there: an offset alone may be anything."""
FRAMES = ("frame", "frames")
FILLERS = ("time", "timestamp", "t", "at", "in", "of", "name", "the")
SIDES = ("start", "end", "duration")
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class TimeColumn:
    """A column of times."""

    name: str
    place: int
    unit: str
    """A key of ``FACTORS``, or 'frames'."""


@dataclass(frozen=True)
class Columns:
    """Where the columns of a list stand; a list without a column of labels has None there."""

    path: int
    label: int | None
    times: dict[str, TimeColumn]
    """start, end, duration -> its column, of those that are used."""
    rate: int | None
    """Frames a second, where times are counted in frames."""
    unused: tuple[str, ...]
    comma_is_decimal: bool

    @property
    def are_plain(self) -> bool:
        """Whether times are start and end in seconds."""
        return "duration" not in self.times and all(not t.unit for t in self.times.values())

    @property
    def num_needed(self) -> int:
        """Cells that a row must have for every column that is used."""
        others = [self.label or 0, self.rate or 0, *(time.place for time in self.times.values())]
        return 1 + max(self.path, *others)

    def span(self, cells: Sequence[str]) -> tuple[float | None, float | None]:
        """Start and end in seconds of a row; None where a cell is empty.

        Raises:
            ValueError: a cell is no time, or the end is not above the start.
        """
        found = {side: self._seconds(cells, time) for side, time in self.times.items()}
        start, end = found.get("start"), found.get("end")
        if found.get("duration") is not None:
            end = (start or 0.0) + (found["duration"] or 0.0)
        if end is not None and end <= (start or 0.0):
            raise ValueError(f"end must be above start, got [{start or 0:g}, {end:g})")
        return start, end

    def _seconds(self, cells: Sequence[str], time: TimeColumn) -> float | None:
        text = cell(cells, time.place)
        if not text:
            return None
        try:
            if time.unit != "frames":
                return seconds(text, time.unit, self.comma_is_decimal)
            number = seconds(text, "", self.comma_is_decimal)
        except ValueError as error:
            raise ValueError(f"{time.name}: {error}, got {text!r:.60}") from None
        rate = cell(cells, self.rate or 0)
        try:
            per_second = float(rate.replace(",", "."))
        except ValueError:
            per_second = 0.0
        if not 0 < per_second < float("inf"):
            raise ValueError(f"fps must be frames a second, above 0, got {rate!r:.60}")
        return number / per_second


def cell(cells: Sequence[str], place: int) -> str:
    """The text of a cell without white space around it; empty where the row is shorter."""
    return cells[place].strip() if place < len(cells) else ""


def delimiter_of(header: str) -> str:
    """What separates the columns: the comma, or where there is none a semicolon or a tab."""
    return next((sign for sign in DELIMITERS if sign in header), ",")


def find_columns(
    header: Sequence[str], path: Path, needs_label: bool, delimiter: str = ","
) -> Columns:
    """Where the columns of the list ``path`` stand.

    Raises:
        DataError: there is no path or label, two columns could be one thing, or a column looks
            like a time that cannot be used.
    """
    words = [_words(name) for name in header]
    told = delimiter.join(header)
    place = _named(header, words, PATHS, "path", path)
    label = _named(header, words, LABELS, "label", path) if needs_label else None
    needed = {"path": place, "label": label} if needs_label else {"path": place}
    missing = [what for what, at in needed.items() if at is None]
    if place is None or missing:
        raise DataError(
            f"{path}:1: the header must name {' and '.join(needed)}, {' and '.join(missing)} "
            f"missing in {told!r:.200}{_hint(told, needs_label)}"
        )
    times, rate = _times(header, words, path), None
    if counted := [time.name for time in times.values() if time.unit == "frames"]:
        rate = next((i for i, w in enumerate(words) if w in (["fps"], ["frame", "rate"])), None)
        if rate is None:
            raise DataError(
                f"{path}:1: {' and '.join(counted)} count frames: add a column fps with the frames "
                "a second of each video, or write start and end in seconds"
            )
    used = {place, label, rate, *(time.place for time in times.values())}
    known = () if needs_label else LABELS
    unused = tuple(
        name.strip()
        for i, name in enumerate(header)
        if i not in used and name.strip() and not set(words[i]) & set(known)
    )
    return Columns(place, label, times, rate, unused, comma_is_decimal=delimiter != ",")


def _words(name: str) -> list[str]:
    """``startTime (s)`` -> start, time, s."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    spaced = re.sub(r"^(start|begin|end|stop)(time|frame|sec)", r"\1 \2", spaced.lower())
    return re.findall(r"[^\W_]+", spaced)


def _named(
    header: Sequence[str], words: list[list[str]], known: Sequence[str], what: str, path: Path
) -> int | None:
    """The column ``what``: of this name, or the only one that is made of words for it."""
    exact = [i for i, found in enumerate(words) if found == [what]]
    if len(exact) > 1:
        raise DataError(f"{path}:1: the header names {what} more than once")
    if exact:
        return exact[0]
    allowed = {*known, *FILLERS, "path", "file"} if what == "path" else {*known, *FILLERS}
    others = [i for i, w in enumerate(words) if set(w) & set(known) and set(w) <= allowed]
    if len(others) > 1:
        names = ", ".join(header[i].strip() for i in others)
        raise DataError(f"{path}:1: any of {names} may be the {what}: call the right one {what}")
    return others[0] if others else None


def _times(header: Sequence[str], words: list[list[str]], path: Path) -> dict[str, TimeColumn]:
    found: dict[str, list[TimeColumn]] = {side: [] for side in SIDES}
    strange = []
    paired = all(any(word in one for one in words) for word in PAIR)
    for place, name in enumerate(header):
        renamed = {PAIR[0]: "start", PAIR[1]: "end"} if paired else {}
        side, unit = _time([renamed.get(word, word) for word in words[place]])
        if side and unit is not None:
            found[side].append(TimeColumn(name.strip(), place, unit))
        elif set(words[place]) & {*STARTS, *ENDS, *PAIR}:
            strange.append(name.strip())
    if strange:
        raise DataError(
            f"{path}:1: {', '.join(strange)} looks like a time, and is not used: call it start or "
            "end, in seconds, or by another name"
        )
    times = {}
    for side, several in found.items():
        # Seconds are taken before frames, which some lists have beside them.
        best = [one for one in several if one.unit != "frames"] or several
        if len(best) > 1:
            names = ", ".join(one.name for one in best)
            raise DataError(f"{path}:1: the header names {side} more than once: {names}")
        if best:
            times[side] = best[0]
    if "end" in times:
        times.pop("duration", None)
    return times


def _time(words: list[str]) -> tuple[str, str | None]:
    """start, end, duration or nothing; the unit, None where it is unknown."""
    units = [word for word in words if word in FACTORS or word in FRAMES]
    rest = [word for word in words if word not in units and word not in FILLERS]
    if len(rest) != 1 or len(units) > 1:
        return "", None
    unit = units[0] if units else ""
    unit = "frames" if unit in FRAMES else "" if FACTORS.get(unit) == 1.0 else unit
    for side, names in (("start", STARTS), ("end", ENDS), ("duration", ("duration",))):
        if rest[0] in names:
            return side, unit
    return "", None


def _hint(first: str, needs_label: bool) -> str:
    """What a list without our header probably is."""
    header = "path,label" if needs_label else "path"
    if "youtube_id" in first.lower():
        return (
            "; this is a list of Kinetics: write path for each clip, as in "
            "<label>/<youtube_id>_<time_start>_<time_end>.mp4, and label"
        )
    words = first.rsplit(maxsplit=1)
    if len(words) == 2 and words[1].isdecimal() and not any(s in first for s in DELIMITERS):
        return (
            f"; this is a list of PySlowFast or MMAction2, 'path number' without a header: put "
            f"{header} above it and commas between the columns"
        )
    sign = delimiter_of(first)
    if sign != ",":
        cells = first.split(sign)
        if len(cells) == 2 and cells[0].isdecimal():
            return (
                "; this looks like a list of Jester, 'id;class': write path;label above it, and "
                "the path of each clip in the place of its id"
            )
        header = header.replace(",", sign)
    if os.path.splitext(first.split(sign)[0])[1]:
        return f"; the first line is a clip: put {header} above it"
    return ""
