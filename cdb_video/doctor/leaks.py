"""Finds what two splits share: clips, moments of a recording, people, equal pictures."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cdb_video.data.datasets.base import Origin
from cdb_video.doctor.findings import Diagnosis, such_as
from cdb_video.doctor.probing import Probe

MAX_DISTANCE = 10
"""Bits of the 192 of three frames in which near-duplicates differ at most."""
MAX_PAIRS = 2_000_000_000
"""Pairs that are compared; above, near-duplicates are not looked for."""
ROWS = 256
"""Clips that are compared with all others at a time."""

Sources = Mapping[str, Sequence[Origin]]
"""Split -> where each of its clips comes from."""


class Overlap(NamedTuple):
    """Clips of two splits that show the same moments."""

    pairs: int
    clips: int
    """Of the second split, in any pair."""


def check_leaks(sources: Sources, diagnosis: Diagnosis) -> None:
    """The same clips, overlapping spans, and the same sessions and subjects in two splits."""
    numbers = diagnosis.numbers.setdefault("shared", {})
    for one, other in itertools.combinations(sources, 2):
        pair = f"{one} and {other}"
        same = set(sources[one]) & set(sources[other])
        if same:
            names = such_as(source.session for source in sorted(same, key=str))
            diagnosis.add("error", "leaks", f"{len(same)} clips are both in {pair}{names}")
        overlap = overlaps(sources[one], sources[other])
        if overlap.pairs > len(same):
            diagnosis.add(
                "warning",
                "leaks",
                f"{overlap.pairs} pairs of clips of {pair} overlap in time, which touches "
                f"{overlap.clips} of {len(sources[other])} {other} clips",
            )
        numbers[f"{one} {other}"] = {"clips": len(same), **overlap._asdict()}
        for kind in ("session", "subject"):
            _check_names(sources, one, other, kind, diagnosis)


def _check_names(sources: Sources, one: str, other: str, kind: str, diagnosis: Diagnosis) -> None:
    here, there = ({getattr(source, kind) for source in sources[name]} for name in (one, other))
    both = sorted((here & there) - {None})
    # A file with a single clip is no session of several clips.
    several = any(source.start is not None for split in sources.values() for source in split)
    if both and (kind == "subject" or several):
        diagnosis.numbers["shared"][f"{one} {other}"][f"{kind}s"] = len(both)
        text = f"{len(both)} of {len(there)} {kind}s of {other} are in {one}, too{such_as(both)}"
        diagnosis.add("warning", "leaks", text)


def overlaps(one: Sequence[Origin], other: Sequence[Origin]) -> Overlap:
    """Pairs of clips, one of each split, of the same session that share some time."""
    spans = defaultdict(list)
    for source in one:
        spans[source.session].append(_span(source))
    pairs, touched = 0, 0
    for source in other:
        start, end = _span(source)
        shared = sum(s < end and start < e for s, e in spans.get(source.session, ()))
        pairs += shared
        touched += shared > 0
    return Overlap(pairs, touched)


def _span(source: Origin) -> tuple[float, float]:
    start = 0.0 if source.start is None else source.start
    return start, float("inf") if source.end is None else source.end


def check_duplicates(
    probes: Mapping[str, Sequence[Probe]], paths: Mapping[str, Sequence[str]], diagnosis: Diagnosis
) -> None:
    """Clips of two splits whose pictures look the same."""
    for one, other in itertools.combinations(probes, 2):
        pairs = near_duplicates(probes[one], probes[other])
        if pairs is None:
            diagnosis.add("warning", "near-duplicates", "too many clips to compare all pictures")
            return
        # The same clip is reported as another kind of leak.
        pairs = [(a, b) for a, b in pairs if paths[one][a] != paths[other][b]]
        if pairs:
            clips = len({b for _, b in pairs})
            names = such_as(f"{paths[one][a]} = {paths[other][b]}" for a, b in pairs)
            text = f"{clips} {other} clips look like clips of {one}{names}"
            diagnosis.add("warning", "near-duplicates", text)


def near_duplicates(one: Sequence[Probe], other: Sequence[Probe]) -> list[tuple[int, int]] | None:
    """Positions of clips whose three frames look the same; None if there are too many."""
    if len(one) * len(other) > MAX_PAIRS:
        return None
    (here, mine), (there, yours) = _hashes(one), _hashes(other)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(mine), ROWS):
        block = mine[start : start + ROWS, None] ^ yours[None]
        distance = np.bitwise_count(block).sum(axis=2)
        for a, b in np.argwhere(distance <= MAX_DISTANCE):
            pairs.append((int(here[start + a]), int(there[b])))
    return pairs


def _hashes(probes: Sequence[Probe]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    known = [position for position, one in enumerate(probes) if one.hashes]
    words = np.array([probes[position].hashes for position in known], np.uint64).reshape(-1, 3)
    return np.array(known, np.int64), words
