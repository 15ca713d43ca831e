"""What a list says in short, to tell later whether it has changed."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cdb_video.data.lists.records import Record

NUM_SHOWN = 5


def facts_of(records: Iterable[Record], class_names: Sequence[str], root: str) -> dict[str, Any]:
    """Clips of each class, and the SHA-256 of all rows; paths count from ``root``.

    So a data set that was moved is the same.
    """
    top, digest, counts = os.path.join(root, ""), hashlib.sha256(), dict.fromkeys(class_names, 0)
    for path, label, start, end in records:
        name = class_names[label]
        row = repr((path.removeprefix(top), name, start, end))
        digest.update(row.encode(errors="surrogateescape"))
        counts[name] += 1
    return {"sha256": digest.hexdigest(), "clips": counts}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the facts of splits that both have, a line a split."""
    told = []
    for split in before.keys() & now.keys():
        old, new = before[split], now[split]
        if old == new:
            continue
        names = dict.fromkeys([*old["clips"], *new["clips"]])
        counts = {name: tuple(one["clips"].get(name, 0) for one in (old, new)) for name in names}
        other = [f"{name} {a} -> {b}" for name, (a, b) in counts.items() if a != b]
        sums = [sum(one["clips"].values()) for one in (old, new)]
        more = f", and {len(other) - NUM_SHOWN} more classes" if len(other) > NUM_SHOWN else ""
        what = ", ".join(other[:NUM_SHOWN]) + more if other else "other paths, times or labels"
        told.append(f"{split} had {sums[0]} clips, has {sums[1]} ({what})")
    return sorted(told)
