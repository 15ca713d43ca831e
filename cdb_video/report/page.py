"""Writes ``report.html``: one page that needs no other file and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import cdb_video
from cdb_video.errors import DataError
from cdb_video.files import write_text
from cdb_video.report.confusion import lay_out, worst_confusions
from cdb_video.report.curves import difficulty_curves, training_curves
from cdb_video.report.heat_map import difficulty_heat_map
from cdb_video.run_folder import RunFolder
from cdb_video.run_rows import PredictionRow
from cdb_video.yaml_text import parse_yaml

MAX_CONFUSIONS = 15
MAX_CLIPS = 15
NONE = -1
"""In place of a class: the clip cannot be decoded."""


def write_report(output_dir: Path) -> Path:
    """Writes ``OUTPUT_DIR/report.html`` from the files the run has left there, and returns it.

    Sections whose files do not exist yet are left out, so that the page can be written after
    training, after the test, or after each.

    Raises:
        DataError: if the folder holds no run, or a file in it cannot be read as what it is.
    """
    run = RunFolder(output_dir)
    if not run.log.is_file() and run.metrics() is None:
        raise DataError(
            f"{output_dir} holds no run: neither log.jsonl nor test/metrics.json is there"
        )
    environment = Environment(
        loader=PackageLoader("cdb_video.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    page = environment.get_template("report.html").render(_content(run))
    write_text(run.report, page)
    return run.report


def _content(run: RunFolder) -> dict[str, Any]:
    per_class, confusion = run.per_class(), run.confusion()
    records, bad_log_lines = run.records()
    # Of an epoch that was trained again after an interruption the last counts.
    train, val = (
        {record["epoch"]: record for record in records if record.get("kind") == kind}
        for kind in ("train_epoch", "val")
    )
    difficulty = list({(row.epoch, row.class_id): row for row in run.difficulties()}.values())
    config = run.config.read_text(encoding="utf-8") if run.config.is_file() else ""
    classes = sorted(per_class, key=lambda row: (-(row.n_train or 0), row.class_id))
    sizes = {row.class_id: row.n_train for row in classes if row.n_train is not None}
    matrix = None
    if confusion is not None:
        order = [row.class_id for row in classes]
        if sorted(order) != list(range(len(confusion.names))):
            order = list(range(len(confusion.names)))
        matrix = lay_out(confusion, order)
    return {
        "title": run.path.resolve().name,
        "components": _components(config),
        "metrics": run.metrics(),
        "classes": classes,
        "largest_class": max(sizes.values(), default=0),
        "matrix": matrix,
        "confusions": worst_confusions(confusion, MAX_CONFUSIONS) if confusion else [],
        "mistakes": _surest_mistakes(run.predictions()),
        "bad_clips": run.bad_clips(),
        "class_names": {row.class_id: row.name for row in per_class},
        "difficulty_svg": difficulty_curves(difficulty),
        "heat_map_svg": difficulty_heat_map(difficulty, sizes),
        "training_svg": training_curves(train, val),
        "best": _best_validation(val),
        "bad_log_lines": bad_log_lines,
        "config": config,
        "version": cdb_video.__version__,
    }


def _components(config: str) -> list[tuple[str, str]]:
    """The sections of the config that choose a component by ``NAME``, as (section, name)."""
    try:
        sections = parse_yaml(config)
    except ValueError:
        return []
    if not isinstance(sections, dict):
        return []
    return [
        (str(section).lower(), str(options["NAME"]))
        for section, options in sections.items()
        if isinstance(options, dict) and "NAME" in options
    ]


def _surest_mistakes(predictions: Sequence[PredictionRow]) -> list[PredictionRow]:
    wrong = [row for row in predictions if row.predicted not in (row.label, NONE)]
    return sorted(wrong, key=lambda row: -row.score)[:MAX_CLIPS]


def _best_validation(val: Mapping[int, Mapping[str, Any]]) -> tuple[int, float] | None:
    """The epoch with the highest mean class recall on validation, and that recall."""
    recalls = [
        (epoch, record["mean_class_recall"])
        for epoch, record in sorted(val.items())
        if record.get("mean_class_recall") is not None
    ]
    return max(recalls, key=lambda pair: pair[1], default=None)


def _percent(fraction: float | None, digits: int = 1) -> str:
    return "–" if fraction is None else f"{100 * fraction:.{digits}f}"
