"""The command ``predict``."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb_video.commands.arguments import (
    add_loading,
    add_shard,
    add_videos,
    found_videos,
    model_parser,
    opened_predictor,
    positive,
    read_shard,
)
from cdb_video.errors import ConfigError, DataError, DecodeError

if TYPE_CHECKING:
    from cdb_video.engine.use.prediction import Prediction
    from cdb_video.engine.use.predictor import Predictor
    from cdb_video.output.prediction_folder import VideoRow

DAMAGED = "damaged"
"""The class of a segment that could not be decoded. It has no end: nothing behind it was seen."""
DESCRIPTION = (
    "The classes of any videos, by a trained model. Writes predictions.csv and predictions.jsonl "
    "into --out, and with --window also segments.csv and timeline.png of each video. A file that "
    "cannot be decoded is a line with the error, and the exit code is then 1. The same command "
    "again goes on where it was stopped, and predicts again what has changed or failed."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Predicts; returns 1 where a video could not be decoded. Raises ``CdbVideoError``."""
    words = _parse(argv, prog)
    share = read_shard(words.shard)
    _check(words)
    if words.camera is not None:
        return _watch(opened_predictor(words), words)
    records = found_videos(words.videos, words.root)
    if words.window and any(r.start is not None or r.end is not None for r in records):
        raise ConfigError("--window needs whole files, got a list with start and end")
    predictor = opened_predictor(words)
    return _Work(words, predictor, share).run(records)


def _parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    parser = model_parser(prog, DESCRIPTION)
    add = parser.add_argument
    add_videos(parser, "*")
    add("--out", type=Path, default=Path("predictions"), metavar="DIR", help="(predictions)")
    add("--top", type=positive, default=5, metavar="K", help="classes a line (5)")
    add("--window", type=float, default=0.0, metavar="S", help="go along in windows of S seconds")
    add("--stride", type=float, metavar="S", help="from window to window (0.5)")
    add("--annotate", action="store_true", help="write each video with its classes drawn in")
    add("--views", default="", metavar="TxS", help="temporal x spatial (those of the test)")
    add_loading(parser)
    add_shard(parser, "video")
    add("--camera", metavar="SOURCE", help="watch a camera (0) or a stream, and print")
    return parser.parse_args(argv)


def _check(words: argparse.Namespace) -> None:
    """Refuses options that would do nothing, and fills in ``--stride``."""
    along = bool(words.window or words.camera is not None)
    nothing = {
        "--annotate needs --window, such as --window 2.0": words.annotate and not words.window,
        "--stride needs --window or --camera": words.stride is not None and not along,
        "--views cannot be used with --window or --camera: a window is one view": words.views
        and along,
        "--camera watches one stream: name no videos beside it": words.camera is not None
        and words.videos,
        "name videos, folders or CSV files, or --camera; got none": words.camera is None
        and not words.videos,
    }
    for text, wrong in nothing.items():
        if wrong:
            raise ConfigError(text)
    words.stride = 0.5 if words.stride is None else words.stride


class _Work:
    """Predicts one share of the videos and writes their lines."""

    def __init__(
        self, words: argparse.Namespace, predictor: "Predictor", read_shard: tuple[int, int]
    ) -> None:
        from cdb_video.output.prediction_folder import PredictionFolder

        self.words, self.predictor, self.shard = words, predictor, read_shard
        self.views = _views(words.views) or predictor.views
        self.folder = PredictionFolder(words.out, read_shard)

    def run(self, records: Sequence[Any]) -> int:
        """Returns the exit code."""
        from cdb_video.engine.use.timeline import check_window

        if self.words.window:
            check_window(self.words.window, self.words.stride)
        with self.folder.held():
            return self._run(records)

    def _run(self, records: Sequence[Any]) -> int:
        from cdb_video.engine.record.log import console, progress_bar

        windowed = bool(self.words.window)
        length = 1 if windowed else 3  # a key is the file, or (file, start, end)
        done = {key[:length] for key in self.folder.begin(self._identity(), windowed)}
        index, count = self.shard
        mine = records[index::count]
        left = [r for r in mine if (r.path, r.start, r.end)[:length] not in done]
        screen = console()
        if len(left) < len(mine):
            screen.print(f"{len(mine) - len(left)} of {len(mine)} videos are done")
        alone = len(records) == 1 and self.folder.holds_only(records[0].path)
        work = self._along_each(left, alone) if windowed else self._each(left)
        with progress_bar(screen) as bar:
            for rows in bar.track(work, total=len(left), description="predicting"):
                self.folder.append(rows)
        whole = self.folder.finish(segments=windowed)
        while "WORLD_SIZE" in os.environ and not self.folder.is_finished():
            time.sleep(1)  # torchrun kills the other processes when one fails
        failed = sum(bool(row.error) for row in self.folder.rows())
        if failed:
            print(f"{failed} videos could not be decoded. Their lines say why.", file=sys.stderr)
        print(self.folder.table if whole else self.folder.path)
        return 1 if failed else 0

    def _each(self, left: Sequence[Any]) -> Iterator[list["VideoRow"]]:
        """Yields the line of each video."""
        words = self.words
        for one in self.predictor.stream(left, self.views, words.batch_size, words.workers):
            yield [self._row(one)]

    def _along_each(self, left: Sequence[Any], alone: bool) -> Iterator[list["VideoRow"]]:
        """Yields the lines of each video, one for each window."""
        for record in left:
            try:
                yield self._along(record.path, alone)
            except (DataError, DecodeError) as error:
                yield [_error_row(record.path, str(error))]

    def _along(self, path: str, alone: bool) -> list["VideoRow"]:
        """Predicts one video window by window. It is decoded again for the film."""
        from cdb_video.engine.use.film import annotate
        from cdb_video.engine.use.predictor import timeline_of
        from cdb_video.report.timeline_picture import draw_timeline

        words, damage = self.words, ""
        found: list[Prediction] = []
        try:
            for one in self.predictor.windows(path, words.window, words.stride, words.batch_size):
                found.append(one)
        except DecodeError as error:
            if not found:
                raise
            damage = str(error)
        rows = [self._row(one) for one in found]
        line = timeline_of(self.predictor.class_names, found, words.stride)
        segments = line.segments
        picture = self.folder.picture_of(path, "timeline.png", alone)
        cut = [(one.start, one.end, one.class_id) for one in segments]
        title = Path(path).name.encode(errors="replace").decode()
        draw_timeline(picture, title, line.class_names, line.times, line.scores, cut)
        if words.annotate:
            film = self.folder.picture_of(path, "annotated.mp4", alone)
            decoding = self.predictor.decoding
            annotate(film, path, line, replace(decoding, damage="accept") if damage else decoding)
        cells: list[tuple[Any, ...]] = [
            (s.start, s.end, s.class_name, round(s.score, 6)) for s in segments
        ]
        if damage:
            rows.append(_error_row(path, damage, segments[-1].end))
            cells.append((segments[-1].end, None, DAMAGED, 0.0))
        self.folder.append_segments(path, cells)
        return rows

    def _row(self, one: "Prediction") -> "VideoRow":
        from cdb_video.output.prediction_folder import VideoRow
        from cdb_video.system.files import stamp_of

        if one.error:
            return _error_row(one.path, one.error, one.start, one.end)
        top = [(name, round(score, 6)) for name, score in one.top(self.words.top)]
        return VideoRow(one.path, one.start, one.end, *top[0], top, "", stamp_of(one.path))

    def _identity(self) -> dict[str, Any]:
        from cdb_video.system.files import sha256

        return {
            "checkpoint": sha256(self.predictor.checkpoint.path),
            "views": list(self.views),
            "window": self.words.window,
            "stride": self.words.stride if self.words.window else 0.0,
            "top": self.words.top,
            "damage": self.predictor.decoding.damage,
            "processes": self.shard[1],
        }


def _error_row(
    path: str, error: str, start: float | None = None, end: float | None = None
) -> "VideoRow":
    from cdb_video.output.prediction_folder import VideoRow

    return VideoRow(path, start, end, "", 0.0, [], error)


def _watch(predictor: "Predictor", words: argparse.Namespace) -> int:
    from cdb_video.engine.use.camera import watch

    for second, one in watch(predictor, words.camera, words.window or 2.0, words.stride):
        top = "  ".join(f"{name} {score:.2f}" for name, score in one.top(words.top))
        print(f"{second:8.1f} s  {top}", flush=True)
    return 0


def _views(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    temporal, _, spatial = text.partition("x")
    if not (temporal.isdecimal() and int(temporal) > 0 and spatial in ("1", "3")):
        raise ConfigError(f"--views must be TxS with S 1 or 3, such as 10x3, got {text!r}")
    return int(temporal), int(spatial)
