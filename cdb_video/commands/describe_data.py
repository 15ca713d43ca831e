"""The command ``describe-data``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb_video import options
from cdb_video.commands.with_config import make_parser, parse

if TYPE_CHECKING:
    from cdb_video.data.lists.splits import Splits
    from cdb_video.metrics.groups import Grouping

DESCRIPTION = (
    "Say how long the tail of a data set is: clips of each split, classes without clips, head "
    "length H, few-shot length F and imbalance I, and the groups of classes by GROUPS.NAME. With "
    "--out also every class, as JSON, and the curve of class sizes, as PNG."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Prints the description. Raises ``CdbVideoError``."""
    parser = make_parser(prog, DESCRIPTION, "[--out DIR] ")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for data.json and long_tail.png")
    words = parse(parser, argv)
    config = options.load(words.cfg, words.opts, trust_imports=words.trust_imports)
    from rich.console import Console

    from cdb_video.data.lists.splits import Splits
    from cdb_video.engine.prepare.task import grouping_of
    from cdb_video.registry import DATASETS

    screen = Console(markup=False, highlight=False)
    dataset = DATASETS.get(config.data.name)(config.data.options)
    names = dataset.splits_there(lambda name, error: screen.print(f"without {name}: {error}"))
    splits = Splits(dataset, names)
    sizes = splits.counts(config.groups.counts)
    grouping = grouping_of(config.groups, sizes, splits.class_names)
    facts = _facts(splits, names, grouping)
    _tell(screen, facts, splits, grouping)
    for oddity in splits.oddities():
        screen.print(f"warning: {oddity}", soft_wrap=True)
    if words.out:
        from cdb_video.report.sizes import draw_sizes
        from cdb_video.system.files import write_text

        words.out.mkdir(parents=True, exist_ok=True)
        write_text(words.out / "data.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        draw_sizes(words.out / "long_tail.png", splits.counts("train").tolist())
        screen.print(f"{words.out}: data.json, long_tail.png", soft_wrap=True)


def _facts(splits: "Splits", names: Sequence[str], grouping: "Grouping") -> dict[str, Any]:
    from cdb_video.metrics.long_tail import long_tail

    counts = {name: splits.counts(name) for name in names}
    nearest, reach = (long_tail(counts["train"], rule) for rule in ("nearest", "reach"))
    groups = {}
    for name in grouping.names:
        members = [c for c, group in enumerate(grouping.groups) if group == name]
        groups[name] = {
            "num_classes": len(members),
            **{split: int(counts[split][members].sum()) for split in names},
        }
    return {
        "splits": {
            name: {"clips": int(count.sum()), "classes": int((count > 0).sum())}
            for name, count in counts.items()
        },
        "num_classes": nearest.num_classes,
        "head_length": {"nearest": nearest.head_share, "reach": reach.head_share},
        "few_shot_length": nearest.few_shot_share,
        "imbalance": nearest.imbalance,
        "group_rule": grouping.rule,
        "groups": groups,
        "classes": [
            {"name": name, "group": grouping.groups[c], **{s: int(counts[s][c]) for s in names}}
            for c, name in enumerate(splits.class_names)
        ],
    }


def _tell(screen: Any, facts: dict[str, Any], splits: "Splits", grouping: "Grouping") -> None:
    from rich.table import Table

    from cdb_video.metrics.long_tail import long_tail
    from cdb_video.report.sizes import in_words

    names = [*facts["splits"]]
    table = Table(box=None, pad_edge=False)
    for column in ("", "classes", *names):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("clips", "", *(f"{facts['splits'][name]['clips']:,}" for name in names))
    table.add_row(
        "classes that have some", "", *(f"{facts['splits'][n]['classes']}" for n in names)
    )
    for name, group in facts["groups"].items():
        cells = (f"{group[split]:,}" for split in names)
        table.add_row(f"clips of {name}", f"{group['num_classes']}", *cells)
    screen.print(table)
    screen.print(f"by training clips: {grouping.rule}", soft_wrap=True)
    counts = splits.counts("train")
    screen.print(in_words(long_tail(counts)), soft_wrap=True)
    reach = facts["head_length"]["reach"]
    screen.print(f"H is {reach:.1%} where the head must reach half of the clips (rule 'reach')")
    largest = sorted(range(len(counts)), key=lambda c: (-counts[c], c))
    shown = largest if len(largest) <= 12 else [*largest[:6], -1, *largest[-6:]]
    for c in shown:
        text = "..." if c < 0 else f"{counts[c]:>8,}  {splits.class_names[c]}"
        screen.print(text if c >= 0 else "     ...", soft_wrap=True)
