"""The command ``make-long-tail``."""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb_video import options
from cdb_video.commands.arguments import natural
from cdb_video.commands.with_config import make_parser, parse
from cdb_video.config.tree import dump
from cdb_video.errors import ConfigError
from cdb_video.version import __version__

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cdb_video.data.lists.records import Record
    from cdb_video.metrics.groups import Grouping
    from cdb_video.metrics.long_tail import LongTail

DESCRIPTION = (
    "Draw a long-tailed subset of the training clips of any data set of files, by a profile or by "
    "counts that somebody published. Validation and test stay. Writes lists, groups (by "
    "GROUPS.NAME, head_tail_fewshot unless given), a manifest, and config.yaml, which trains on it."
)

WRITTEN = ("train.csv", "val.csv", "test.csv", "groups.json", "long_tail.png", "config.yaml")
"""Files that are written before the manifest."""


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Draws and writes. Raises ``CdbVideoError``."""
    words = _parse(argv, prog)
    opts = list(words.opts)
    if not {"GROUPS.NAME", "TEST.GROUPS"} & {*opts}:
        opts += ["GROUPS.NAME", "head_tail_fewshot"]
    config = options.load(words.cfg, opts, trust_imports=words.trust_imports)
    from cdb_video.data.lists.long_tail import draw_clips
    from cdb_video.data.lists.splits import Splits
    from cdb_video.engine.prepare.task import grouping_of
    from cdb_video.metrics.long_tail import long_tail
    from cdb_video.registry import DATASETS
    from cdb_video.report.sizes import draw_sizes, in_words
    from cdb_video.system.files import write_text

    dataset = DATASETS.get(config.data.name)(config.data.options)
    if not dataset.split("train").files:
        raise ConfigError(
            f"DATA.NAME must be a data set of files to draw from, got {config.data.name}, which "
            "may have options of its own, such as IMBALANCE"
        )
    there = {path.name for path in words.out.iterdir()} if words.out.is_dir() else set()
    # A run that was killed has left some of the files, and the manifest, which is last, not.
    if words.out.is_file() or "manifest.json" in there or there - set(WRITTEN):
        raise ConfigError(f"--out must be a new or empty folder, got {words.out}")
    names = dataset.splits_there(lambda name, error: print(f"without {name}: {error}"))
    lists: dict[str, Sequence[Record]] = {name: dataset.records(name) for name in names}
    before = Splits(dataset, names).counts("train")
    sizes = _sizes(words, before, dataset.class_names)
    kept = draw_clips(dataset.split("train").labels, sizes.tolist(), words.take, words.seed)
    lists["train"] = [lists["train"][place] for place in kept.tolist()]

    grouping = grouping_of(config.groups, sizes, dataset.class_names)
    out, tail = words.out.resolve(), long_tail(sizes)
    out.mkdir(parents=True, exist_ok=True)
    places = _write_lists(out, dataset, lists, grouping)
    manifest = {
        **_manifest(words, grouping, tail),
        "clips": {split: len(records) for split, records in lists.items()},
        "classes": {
            name: {"clips": int(n), "of": int(m)}
            for name, n, m in zip(dataset.class_names, sizes, before, strict=True)
        },
    }
    draw_sizes(out / "long_tail.png", sizes.tolist())
    path = _write_config(out, config, dataset, places)
    write_text(out / "manifest.json", _json(manifest))
    print(f"{len(lists['train']):,} of {int(before.sum()):,} training clips. {in_words(tail)}")
    print(f"train with --cfg {path}")


def _parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    usage = (
        "--out DIR [--profile P | --counts FILE] [--ratio R] [--largest N] [--take T] [--seed S] "
    )
    parser = make_parser(prog, DESCRIPTION, usage)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the lists")
    add(
        "--profile",
        choices=("exponential", "step", "pareto"),
        default="exponential",
        help="how class sizes fall (exponential)",
    )
    add("--ratio", type=float, default=100.0, metavar="R", help="largest to smallest class (100)")
    add("--largest", type=natural, default=0, metavar="N", help="clips of the largest class (all)")
    add(
        "--counts",
        type=Path,
        metavar="FILE",
        help="JSON list of clips in the order of the classes, or {class: clips}, in place of a "
        "profile",
    )
    add(
        "--take",
        choices=("random", "first"),
        default="random",
        help="which clips of a class; first is the rule of Imbalanced-MiniKinetics200 (random)",
    )
    add("--seed", type=natural, default=0, metavar="S", help="of what is drawn at random (0)")
    return parse(parser, argv)


def _sizes(
    words: argparse.Namespace, available: "npt.NDArray[np.int64]", names: Sequence[str]
) -> "npt.NDArray[np.int64]":
    import numpy as np

    from cdb_video.data.lists.long_tail import sizes_by_profile

    if not words.counts:
        if not 1 <= words.ratio < float("inf") or len(names) < 2:
            raise ConfigError(f"--ratio must be >= 1, for two classes at least, got {words.ratio}")
        return sizes_by_profile(available, words.profile, words.ratio, words.largest)
    wanted = _read_counts(words.counts, names)
    short = [c for c in range(len(names)) if available[c] < wanted[c]]
    for c in short[:10]:
        print(f"{names[c]} has {available[c]} clips; all are taken, {wanted[c]} were wanted")
    if len(short) > 10:
        print(f"and {len(short) - 10} more classes are short of clips")
    return np.minimum(wanted, available)


def _read_counts(path: Path, names: Sequence[str]) -> list[int]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--counts must be a JSON file, got {path}: {error}") from None
    lists = (
        [v for v in content.values() if isinstance(v, list)] if isinstance(content, dict) else []
    )
    if len(lists) == 1:
        content = lists[0]  # beside it may stand where they are from
    if isinstance(content, dict):
        content = [content.get(name) for name in names]
    valid = isinstance(content, list) and all(type(n) is int and n >= 0 for n in content)
    valid = valid and any(content)
    if not valid or len(content) != len(names):
        raise ConfigError(
            f"--counts must give {len(names)} whole numbers, one for each class, not all 0, "
            f"got {path} with {str(content)[:100]}"
        )
    return list(content)


def _write_lists(
    out: Path, dataset: Any, lists: "dict[str, Sequence[Record]]", grouping: "Grouping"
) -> dict[str, str]:
    """Writes lists, with paths relative to the data's root, and groups; returns where."""
    from cdb_video.system.csv_rows import write_csv
    from cdb_video.system.files import write_text

    names, root = dataset.class_names, os.path.abspath(dataset.root)
    places = {split: str(out / f"{split}.csv") for split in lists}
    for split, records in lists.items():
        rows = [
            (os.path.relpath(os.path.abspath(r.path), root), names[r.label], r.start, r.end)
            for r in records
        ]
        head = ("path", "label", "start", "end")
        write_csv(Path(places[split]), [head, *rows], for_spreadsheets=False)
    write_text(out / "groups.json", _json(dict(zip(names, grouping.groups, strict=True))))
    return places


def _write_config(out: Path, config: options.Config, dataset: Any, places: dict[str, str]) -> Path:
    """Writes a config with the lists as data set; returns its path."""
    from cdb_video.data.datasets.clips import Clips
    from cdb_video.metrics.groupings.file import GroupFile
    from cdb_video.system.files import write_text

    root, names = os.path.abspath(dataset.root), tuple(dataset.class_names)
    clips = Clips.Options(root=root, classes=names, allow_outside=True, **places)
    groups = GroupFile.Options(str(out / "groups.json"))
    drawn = replace(
        config,
        output_dir=f"output/{out.name}",
        data=replace(config.data, name="clips", options=clips),
        groups=replace(config.groups, name="file", options=groups),
    )
    path = out / "config.yaml"
    write_text(path, dump(drawn))
    return path


def _manifest(words: argparse.Namespace, grouping: "Grouping", tail: "LongTail") -> dict[str, Any]:
    """How the subset was made, for ``manifest.json``."""
    how = {"counts": str(words.counts)} if words.counts else {"profile": words.profile}
    return {
        "of": str(words.cfg),
        "options": words.opts,
        **how,
        **({} if words.counts else {"ratio": words.ratio, "largest": words.largest}),
        "take": words.take,
        "seed": words.seed,
        "group_rule": grouping.rule,
        "head_length": tail.head_share,
        "few_shot_length": tail.few_shot_share,
        "imbalance": tail.imbalance,
        "version": __version__,
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
