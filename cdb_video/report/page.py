"""Writes ``report.html``, a page that needs no other file and no network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cdb_video.config.yaml_text import parse_yaml
from cdb_video.errors import DataError
from cdb_video.metrics.intervals import Bin, Interval, bootstrap_intervals, calibration
from cdb_video.output.rows import Confusion
from cdb_video.output.run_folder import RunFolder
from cdb_video.report.classes import class_lines
from cdb_video.report.confusion import MOST_LABELLED, as_picture, lay_out, worst_confusions
from cdb_video.report.curves import difficulty_curves, training_curves
from cdb_video.report.facts import run_facts
from cdb_video.report.heat_map import difficulty_heat_map
from cdb_video.report.mistakes import NONE, Mistakes
from cdb_video.report.plots import long_tail_plot, reliability_plot
from cdb_video.report.sizes import sizes_plot
from cdb_video.system.files import write_text
from cdb_video.version import __version__

MAX_CONFUSIONS = 15
HEADLINES = (
    (
        "Mean class recall",
        "mean_class_recall",
        "Of the samples of a class, the share that was recognised; every class counts the same. "
        "Also called balanced accuracy.",
    ),
    ("Worst class recall", "worst_class_recall", "Of the class that is recognised least."),
    (
        "Mean class precision",
        "mean_class_precision",
        "Of the samples predicted as a class, the share that was right; 0 for a class never "
        "predicted.",
    ),
    (
        "Mean class F1",
        "mean_class_f1",
        "Harmonic mean of a class’s recall and precision, averaged over classes.",
    ),
    (
        "Mean average precision",
        "mean_average_precision",
        "Area under precision over recall of a class against all others, as the threshold on its "
        "score falls; averaged over classes.",
    ),
    ("Top-1", "top1", "Share of all samples recognised; frequent classes dominate it."),
    ("Top-5", "top5", "Share of all samples whose class is among the five best scores."),
)
"""Title, name in ``metrics.json``, and what it is."""


def write_report(output_dir: Path | str, *, strips: bool = True) -> Path:
    """Writes ``OUTPUT_DIR/report.html`` from the files of the run, and returns its path.

    Sections without files are left out, so the page can be written at any time of a run.

    Args:
        strips: decode and show some clips with wrong predictions, if they still exist.

    Raises:
        DataError: the folder holds no run, or a file in it cannot be read.
    """
    run = RunFolder(output_dir)
    if not run.log.is_file() and run.metrics() is None:
        raise DataError(
            f"{output_dir} holds no run: neither log.jsonl nor test/metrics.json is there"
        )
    write_text(run.report, render("report.html", _content(run, strips)))
    return run.report


def render(template: str, content: Mapping[str, Any]) -> str:
    """Renders a template of this package. Only its own script may run, and nothing is loaded."""
    environment = Environment(
        loader=PackageLoader("cdb_video.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    script = files("cdb_video.report").joinpath("table.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template)
    return page.render(**content, script=script, script_digest=digest, version=__version__)


def _content(run: RunFolder, strips: bool) -> dict[str, Any]:
    records, bad_log_lines = run.records()
    # If an epoch was trained again after an interruption, its last line counts.
    train, val = (
        {record["epoch"]: record for record in records if record.get("kind") == kind}
        for kind in ("train_epoch", "val")
    )
    difficulty = list({(row.epoch, row.class_id): row for row in run.difficulties()}.values())
    config = run.config.read_text(encoding="utf-8") if run.config.is_file() else ""
    classes = sorted(run.per_class(), key=lambda row: (-(row.n_train or 0), row.class_id))
    sizes = {row.class_id: row.n_train for row in classes if row.n_train is not None}
    return {
        "title": run.path.resolve().name,
        "components": _components(config),
        "classes": class_lines(classes, difficulty),
        "largest_class": max(sizes.values(), default=0),
        "long_tail_svg": long_tail_plot(classes),
        **dict(zip(("sizes_svg", "tail"), sizes_plot([*sizes.values()]) or ("", ""), strict=True)),
        "bad_clips": run.bad_clips(),
        "difficulty_svg": difficulty_curves(difficulty),
        "heat_map_svg": difficulty_heat_map(difficulty, sizes),
        "training_svg": training_curves(train, val),
        "best": _best_validation(val),
        "bad_log_lines": bad_log_lines,
        "facts": run_facts(run.facts()),
        "config": config,
        **_tested(run, classes, strips),
    }


def _tested(run: RunFolder, classes: Sequence[Any], strips: bool) -> dict[str, Any]:
    """The sections of a test."""
    metrics, confusion, predictions = run.metrics(), run.confusion(), run.predictions()
    num_classes = len(classes)
    order = [row.class_id for row in classes]
    if confusion is not None and sorted(order) != list(range(len(confusion.names))):
        order = list(range(len(confusion.names)))
    mistakes = Mistakes(predictions, {r.class_id: r.name for r in classes}, run.report, strips)
    counted = [row for row in predictions if row.predicted != NONE]
    intervals: dict[str, Interval] = {}
    error: float | None = None
    bins: list[Bin] = []
    if counted and num_classes > max(row.label for row in predictions):
        # Clips that could not be decoded count as not recognised, or are left out.
        judged = predictions if (metrics or {}).get("num_samples") == len(predictions) else counted
        pairs = [row.label for row in judged], [row.predicted for row in judged]
        intervals = bootstrap_intervals(*pairs, num_classes)
        right = [row.label == row.predicted for row in counted]
        error, bins = calibration([row.score for row in counted], right)
    return {
        "metrics": metrics,
        "headlines": _headlines(metrics or {}, intervals),
        "calibration_error": error,
        "reliability_svg": reliability_plot(bins),
        **_matrix(confusion, order),
        "confusions": worst_confusions(confusion, MAX_CONFUSIONS) if confusion else [],
        "worst_classes": mistakes.worst_classes(classes),
        "mistakes": mistakes.surest(),
    }


def _matrix(confusion: Confusion | None, order: Sequence[int]) -> dict[str, Any]:
    """The confusion matrix: drawn with labels if there is room, else as a picture."""
    few = confusion is not None and len(order) <= MOST_LABELLED
    return {
        "matrix": lay_out(confusion, order) if confusion is not None and few else None,
        "matrix_picture": as_picture(confusion, order) if confusion is not None and not few else "",
    }


def _headlines(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[Any]:
    """(title, fraction, interval or None, definition) of each known number."""
    return [
        (title, metrics.get(key), intervals.get(key), what)
        for title, key, what in HEADLINES
        if key in metrics
    ]


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
