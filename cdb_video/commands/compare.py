"""The command ``compare``: several losses with several seeds, everything else equal."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cdb_video import distributed, options
from cdb_video.commands.with_config import make_parser, parse
from cdb_video.data.lists.facts import changes
from cdb_video.errors import ConfigError
from cdb_video.options import Config
from cdb_video.output.list_facts import read_list_facts
from cdb_video.output.run_folder import RunFolder

DESCRIPTION = (
    "Train and test several losses with several seeds, everything else equal, and with --methods "
    "make other classifiers on each of them. cdb-video compare-runs compares runs that were tested "
    "already."
)
WIDE = 200
"""Characters of a table that goes to a file."""


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Compares losses and prints where the result is. Raises ``CdbVideoError``."""
    parser = make_parser(prog, DESCRIPTION, "--losses A,B [--methods M,N] [--seeds N] ")
    parser.add_argument(
        "--losses",
        required=True,
        help="names, separated by commas; options of one as in cdb_ce:tau=1.5:min_weight=0.2",
    )
    parser.add_argument(
        "--methods", default="", help="of RETRAIN.METHOD, separated by commas, after each loss"
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each loss (3)")
    words = parse(parser, argv)
    if words.seeds < 1:
        parser.error(f"--seeds must be an integer >= 1, got {words.seeds}")
    folder = compare(
        words.cfg,
        words.opts,
        words.losses.split(","),
        words.seeds,
        methods=[name for name in words.methods.split(",") if name],
        trust_imports=words.trust_imports,
    )
    print(", ".join(str(folder / f"compare.{kind}") for kind in ("csv", "md", "png")))


def compare(
    path: Path,
    overrides: Sequence[str],
    losses: Sequence[str],
    num_seeds: int,
    *,
    methods: Sequence[str] = (),
    trust_imports: bool = False,
) -> Path:
    """Runs every loss with every seed below OUTPUT_DIR and writes the results.

    Leaves ``<loss>/seed_<seed>/`` for each run, with ``<method>/`` in it, ``compare.csv``,
    ``compare.md`` and ``compare.png``. Seeds count up from RNG_SEED. A finished run is
    not repeated. An interrupted run resumes.

    Args:
        path: YAML file, and ``overrides`` over it, as for training.
        losses: registered names, each with options in the form that ``loss_words`` reads. The
            others are compared with the first.
        num_seeds: runs of each loss, >= 1.
        methods: of RETRAIN.METHOD, each made on every run.
        trust_imports: import the modules that ``path`` names.

    Returns:
        OUTPUT_DIR.

    Raises:
        CdbVideoError: as for training and testing.
    """
    from cdb_video.engine.retrain.retrain import check_retrain  # slow to import, so not by --help

    base = options.load(path, overrides, trust_imports=trust_imports)
    root = Path(base.output_dir)
    configs, second = {}, {}
    for seed in range(base.rng_seed, base.rng_seed + num_seeds):
        for loss in losses:
            folder = root / loss.replace(":", ",") / f"seed_{seed}"
            words = [*loss_words(loss), "RNG_SEED", str(seed), "OUTPUT_DIR", str(folder)]
            configs[loss, seed] = options.load(path, [*overrides, *words])
            for method in methods:
                words += ["RETRAIN.METHOD", method]
                second[f"{loss} + {method}", seed] = options.load(path, [*overrides, *words])
    for config in second.values():
        check_retrain(config)
    lists = _lists(base)
    for (loss, seed), config in configs.items():
        if not _is_done(config, lists):
            Console(stderr=True, markup=False).print(f"{loss}, seed {seed}:")
            _run(config)
    folders = {run: Path(config.output_dir) for run, config in configs.items()}
    folders |= {run: _retrained(config, lists) for run, config in second.items()}
    if distributed.is_main():
        _write(root, folders)
    return root


def _lists(config: Config) -> dict[str, Any]:
    from cdb_video.engine.prepare.data import read_splits

    return read_splits(config, "train", "val", "test").facts()


def _run(config: Config) -> None:
    from cdb_video.engine.evaluate.test import test
    from cdb_video.engine.train.loop import train
    from cdb_video.report.page import write_report

    train(config)
    test(config)
    if distributed.is_main():
        write_report(Path(config.output_dir))


def _retrained(config: Config, lists: Mapping[str, Any]) -> Path:
    """Folder of the classifier that RETRAIN.METHOD makes of a run. It is made if it is missing."""
    from cdb_video.engine.retrain.retrain import retrain

    run = RunFolder(config.output_dir)
    folder = run.retrained(config.retrain.method)
    older = folder.best.is_file() and folder.best.stat().st_mtime < run.best.stat().st_mtime
    changed = older or folder.metrics() is None or changes(read_list_facts(folder.lists), lists)
    if changed or options.load(folder.config).retrain != config.retrain:
        retrain(config)
    return folder.path


def _write(root: Path, folders: Mapping[tuple[str, int], Path]) -> None:
    from cdb_video.report import seeds
    from cdb_video.report.scores import read_scores

    table = {run: read_scores(folder) for run, folder in folders.items()}
    seeds.write_table(root / "compare.csv", table)
    seeds.write_markdown(root / "compare.md", table)
    seeds.draw_scores(root / "compare.png", table)
    # Lines in a file are not folded.
    screen = Console(width=None if sys.stdout.isatty() else WIDE)
    for one in seeds.score_tables(table):
        if one.row_count:
            screen.print(one)


def loss_words(text: str) -> list[str]:
    """``KEY VALUE ...`` of a loss as typed: ``cdb_ce:tau=1.5:min_weight=0.2``.

    A key without a dot is an option of the loss. A key with a dot is any option of a run, as in
    ``ldam:beta=0.9999:LOSS.DEFER_EPOCHS=12:MODEL.HEAD=cosine``.

    Raises:
        ConfigError: an option is not KEY=VALUE.
    """
    name, *settings = text.split(":")
    words = ["LOSS.NAME", name]
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"a loss must be NAME or NAME:KEY=VALUE:..., got {text!r}")
        words += [key if "." in key else f"LOSS.{name}.{key}".upper(), value]
    return words


def _is_done(config: Config, lists: Mapping[str, Any]) -> bool:
    """Whether OUTPUT_DIR holds a tested run with exactly these options, and of these lists."""
    folder = RunFolder(config.output_dir)
    if folder.metrics() is None or changes(read_list_facts(folder.lists), lists):
        return False
    done = options.load(folder.config)
    # A run writes down the number of threads that it has chosen.
    return (done if config.num_threads else replace(done, num_threads=0)) == config
