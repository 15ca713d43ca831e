"""The command ``pack-data``."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb_video import options
from cdb_video.commands.arguments import add_shard, positive, read_shard
from cdb_video.commands.with_config import make_parser, parse
from cdb_video.errors import CdbVideoError, ConfigError

if TYPE_CHECKING:
    from cdb_video.data.lists.records import Record
    from cdb_video.data.pack.done import PackedFiles
    from cdb_video.data.pack.packing import Packed, Packing

LOW_PSNR = 30
"""dB; docs/performance.md has what it cost the demo."""
DESCRIPTION = (
    "Write every clip of a data set again, small and quick to decode, without sound, and prove "
    "that each has the same frames at the same times. Names and lists stay, so that only the root "
    "changes; parts of long files become files of their own, with new lists. The same command "
    "again goes on where it was stopped, and packs again what has changed. The exit code is 1 "
    "where a clip could not be packed."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Packs; returns 1 where a clip could not be. Raises ``CdbVideoError``."""
    words = _parse(argv, prog)
    index, count = read_shard(words.shard)
    config = options.load(words.cfg, words.opts, trust_imports=words.trust_imports)
    from cdb_video.data.pack.done import PackedFiles
    from cdb_video.data.pack.packing import Packing
    from cdb_video.data.pack.packing_plan import plan_packing, write_lists
    from cdb_video.registry import DATASETS

    dataset = DATASETS.get(config.data.name)(config.data.options)
    splits = _splits(dataset)
    plan = plan_packing(dataset.root, words.out, splits)
    packing = Packing(words.side, words.key_frames, words.crf)
    mine = dict([*plan.clips.items()][index::count])
    files = PackedFiles(words.out, packing, (index, count))
    with files.held():
        left = {path: record for path, record in mine.items() if not files.has(path, record)}
        work = _Work(packing, config.data, words.workers or os.cpu_count() or 1, files)
        faults = work.run(left)
        write_lists(dataset.root, words.out, splits, dataset.class_names, plan)
    _tell(
        words.out, config.data.name, plan.new_lists, len(mine), len(mine) - len(left), work, faults
    )
    return 1 if faults else 0


def _parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    parser = make_parser(prog, DESCRIPTION, "--out DIR [--side N] [--key-frames N] [--crf N] ")
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="the new root")
    add("--side", type=positive, default=256, metavar="N", help="shorter side in pixels (256)")
    add("--key-frames", type=positive, default=8, metavar="N", help="from one to the next (8)")
    add("--crf", type=int, default=26, choices=range(52), metavar="N", help="quality, 0-51 (26)")
    add("--workers", type=positive, metavar="N", help="processes that encode (one a core)")
    add_shard(parser, "clip")
    return parse(parser, argv)


def _splits(dataset: Any) -> dict[str, Sequence["Record"]]:
    """The splits that have a list: the test list may be missing."""
    if not hasattr(dataset, "root") or not dataset.split("train").files:
        raise ConfigError("DATA.NAME must be a data set of files to be packed, got one in memory")
    names = dataset.splits_there(lambda name, error: print(f"without {name}: {error}"))
    return {name: dataset.records(name) for name in names}


class _Work:
    """Packs clips in several processes. A clip that kills one process does not stop the others."""

    def __init__(
        self, packing: "Packing", decoding: Any, workers: int, files: "PackedFiles"
    ) -> None:
        self._arguments, self._workers, self._files = (packing, decoding), workers, files
        self.done: list[Packed] = []

    def run(self, clips: Mapping[Path, "Record"]) -> dict[str, str]:
        """The clips that could not be packed, each with the reason."""
        from cdb_video.engine.record.log import console, progress_bar

        faults: dict[str, str] = {}
        left = dict(clips)
        suspects = 0  # so many of the first clips that are left are packed one at a time
        with progress_bar(console()) as bar:
            task = bar.add_task("packing", total=len(clips))
            while left:
                some = dict([*left.items()][:1]) if suspects else left
                done = self._pack(some, faults)
                if suspects:
                    suspects -= 1
                    if not done:
                        faults[next(iter(some.values())).path] = "the process that packed it died"
                        done = [*some]
                elif len(done) < len(some):
                    # Clips are taken in order, so the one that killed its process is one of these.
                    suspects = self._workers + 2
                for path in done:
                    del left[path]
                bar.advance(task, len(done))
        return faults

    def _pack(self, clips: Mapping[Path, "Record"], faults: dict[str, str]) -> list[Path]:
        """Packs clips; returns those that are done, packed or failed."""
        from cdb_video.data.pack.packing import pack

        done = []
        with ProcessPoolExecutor(min(self._workers, len(clips))) as pool:
            futures = {pool.submit(pack, clips[p], p, *self._arguments): p for p in clips}
            for future in as_completed(futures):
                path = futures[future]
                try:
                    self.done.append(future.result())
                    self._files.note(path, clips[path])
                except BrokenProcessPool:
                    continue
                except (CdbVideoError, OSError) as error:
                    faults[clips[path].path] = str(error)
                done.append(path)
        return done


def _tell(
    out: Path,
    name: str,
    new_lists: bool,
    num: int,
    before: int,
    work: _Work,
    faults: Mapping[str, str],
) -> None:
    for reason in [*faults.values()][:10]:
        print(f"not packed: {reason}")
    if len(faults) > 10:
        print(f"and {len(faults) - 10} more")
    psnr = [one.psnr for one in work.done if one.psnr < float("inf")]
    facts = {
        "clips": num,
        "packed": len(work.done),
        "there_before": before,
        "failed": len(faults),
        "bytes_before": sum(one.bytes_before for one in work.done),
        "bytes_after": sum(one.bytes_after for one in work.done),
        "lowest_psnr": round(min(psnr), 1) if psnr else None,
    }
    if psnr and min(psnr) < LOW_PSNR:
        print(
            f"the worst clip came out at {min(psnr):.1f} dB; below {LOW_PSNR} recall was seen to "
            "suffer: try a lower --crf, or leave clips as small as these as they are"
        )
    print(json.dumps(facts))
    names = "DATA.NAME clips DATA.CLIPS.ROOT" if new_lists else f"DATA.{name.upper()}.ROOT"
    print(f"train with {names} {out}")
