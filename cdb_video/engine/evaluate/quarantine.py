"""Collects and reports clips that cannot be decoded, and stops the run if there are too many."""

from collections import Counter

from rich.console import Console

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.data.lists.splits import Splits, max_bad
from cdb_video.errors import DataError
from cdb_video.output.rows import BadClipRow
from cdb_video.output.run_folder import RunFolder

STAGES = {"train": "train", "val": "validate", "test": "test"}
"""Split -> what goes on while its clips are decoded."""


class Quarantine:
    """The bad clips of a run: those of this process, and after ``tell`` those of all.

    Args:
        folder: keeps their list.
        splits: of the run.
        decoder: that failed.
        max_bad_fraction: share of a split that may be bad.
        screen: shows them.
    """

    def __init__(
        self,
        folder: RunFolder,
        splits: Splits,
        decoder: str,
        max_bad_fraction: float,
        screen: Console,
    ) -> None:
        self._folder, self._splits, self._screen = folder, splits, screen
        self._decoder, self._fraction = decoder, max_bad_fraction
        self._found: dict[tuple[str, int], str] = {}
        """(split, record) -> reason."""
        self._told: set[tuple[str, int]] = set()

    def see(self, split: str, batch: Batch) -> Batch:
        """Notes the bad clips of ``batch``; returns it.

        Raises:
            DataError: there are more than allowed.
        """
        for bad in batch.bad:
            self._found.setdefault((split, bad.record), bad.reason)
        if batch.bad:
            self._check(split)
        return batch

    def tell(self, split: str, epoch: int) -> None:
        """Joins the bad clips of all processes, writes them down and shows the new ones.

        Every process must call it.

        Raises:
            DataError: there are more than allowed.
        """
        for found in distributed.gather(self._found):
            self._found |= found
        here = {key: reason for key, reason in self._found.items() if key[0] == split}
        new = sorted(here.keys() - self._told)
        if not new:
            return
        self._told |= here.keys()
        rows = [self._row(key, epoch) for key in new]
        if distributed.is_main():
            self._folder.append_bad_clips(rows)
        classes = Counter(row.class_name for row in rows)
        counts = ", ".join(f"{name} {count}" for name, count in classes.most_common(10))
        self._screen.print(
            f"epoch {epoch}: {len(new)} bad {split} clips ({counts}), {len(here)} in all; "
            f"{self._folder.quarantine} names them, such as {rows[0].reason}"
        )
        self._check(split)

    def _row(self, key: tuple[str, int], epoch: int) -> BadClipRow:
        split, index = key
        record = self._splits[split].records[index]
        name = self._splits.class_names[record.label]
        span = (record.path, record.start, record.end)
        reason = self._found[key]
        return BadClipRow(*span, name, split, STAGES[split], epoch, self._decoder, reason)

    def _check(self, split: str) -> None:
        reasons = [reason for (name, _), reason in self._found.items() if name == split]
        total = len(self._splits[split].records)
        if len(reasons) > max_bad(self._fraction, total):
            raise DataError(
                f"{len(reasons)} of {total} {split} clips are bad, more than "
                f"DATA.MAX_BAD_FRACTION {self._fraction:g} allows: {'; '.join(reasons[:3])}"
            )
