"""The command ``predict``."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdb_video.errors import CdbVideoError, ConfigError

if TYPE_CHECKING:
    from cdb_video.engine.predict import Prediction, Predictor
    from cdb_video.prediction_folder import PredictedRow

DESCRIPTION = (
    "The classes of any videos, by a trained model. Writes predictions.csv and predictions.jsonl "
    "into --out, and with --window also segments.csv and timeline.png of each video. A file that "
    "cannot be decoded is a line with the error, and the exit code is then 1. The same command "
    "again goes on where it was stopped."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Predicts; returns 1 where a video could not be decoded. Raises ``CdbVideoError``."""
    words = _parse(argv, prog)
    shard = _shard(words.shard)
    from cdb_video.data.found import find_videos
    from cdb_video.engine.predict import load

    if words.camera is not None:
        return _watch(load(words.checkpoint, words.device, words.imports), words)
    if not words.videos:
        raise ConfigError("videos, folders or CSV files must be named, or --camera, got none")
    if words.annotate and not words.window:
        raise ConfigError("--annotate needs --window, such as --window 2.0")
    records = find_videos(words.videos)
    if words.window and any(r.start is not None or r.end is not None for r in records):
        raise ConfigError("--window goes along whole files, got a list with start and end")
    predictor = load(words.checkpoint, words.device, words.imports)
    return _Work(words, predictor, shard).run(records)


def _parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    add = parser.add_argument
    listed = "files, folders, or CSV files with path[,start,end]"
    add("videos", nargs="*", metavar="VIDEO", help=listed)
    add("--checkpoint", required=True, type=Path, metavar="FILE", help="such as best.pt of a run")
    add("--out", type=Path, default=Path("predictions"), metavar="DIR", help="(predictions)")
    add("--top", type=_positive, default=5, metavar="K", help="classes a line (5)")
    add("--window", type=float, default=0.0, metavar="S", help="go along in windows of S seconds")
    add("--stride", type=float, default=0.5, metavar="S", help="from window to window (0.5)")
    add("--annotate", action="store_true", help="write each video with its classes drawn in")
    add("--views", default="", metavar="TxS", help="temporal x spatial (those of the test)")
    add("--batch-size", type=_positive, default=8, metavar="N", help="clips at a time (8)")
    add("--workers", type=int, default=2, metavar="N", help="processes that decode (2)")
    add("--shard", default="", metavar="I/N", help="take every N-th video, the I-th first, from 0")
    add("--camera", metavar="SOURCE", help="watch a camera (0) or a stream, and print")
    add("--device", default="auto", help="auto, cpu or cuda (auto)")
    add("--imports", nargs="*", default=[], metavar="MODULE", help="your modules to import first")
    return parser.parse_args(argv)


class _Work:
    """One share of the videos, from files to lines."""

    def __init__(
        self, words: argparse.Namespace, predictor: "Predictor", shard: tuple[int, int]
    ) -> None:
        from cdb_video.prediction_folder import PredictionFolder

        self.words, self.predictor, self.shard = words, predictor, shard
        self.views = _views(words.views) or predictor.views
        self.folder = PredictionFolder(words.out, shard)

    def run(self, records: Sequence[Any]) -> int:
        """Returns the exit code."""
        from cdb_video.engine.log import console, progress_bar
        from cdb_video.engine.timeline import window_spans

        if self.words.window:
            window_spans(0, 1, self.words.window, self.words.stride)
        done = self.folder.begin(self._identity(), whole_files=bool(self.words.window))
        if self.words.window:
            paths = {path for path, _, _ in done}
            is_done: Callable[[Any], bool] = lambda record: record.path in paths  # noqa: E731
        else:
            is_done = lambda record: (record.path, record.start, record.end) in done  # noqa: E731
        index, count = self.shard
        mine = list(enumerate(records))[index::count]
        left = [(number, record) for number, record in mine if not is_done(record)]
        screen = console()
        if len(left) < len(mine):
            screen.print(f"{len(mine) - len(left)} of {len(mine)} videos are done already")
        with progress_bar(screen) as bar:
            task = bar.add_task("predicting", total=len(left))
            work = self._windows if self.words.window else self._whole
            work(left, len(records), lambda: bar.advance(task))
        whole = self.folder.finish(segments=bool(self.words.window))
        while "WORLD_SIZE" in os.environ and not self.folder.is_finished():
            time.sleep(1)  # torchrun ends the others where one ends with an error
        failed = sum(bool(row.error) for row in self.folder.rows())
        if failed:
            print(f"{failed} videos could not be decoded; their lines say why", file=sys.stderr)
        print(self.folder.table if whole else self.folder.path)
        return 1 if failed else 0

    def _whole(self, left: Sequence[Any], num_videos: int, tick: Callable[[], None]) -> None:
        records, words = [record for _, record in left], self.words
        for one in self.predictor.stream(records, self.views, words.batch_size, words.workers):
            self.folder.append([self._row(one)])
            tick()

    def _windows(self, left: Sequence[Any], num_videos: int, tick: Callable[[], None]) -> None:
        for number, record in left:
            try:
                self._along(number, record.path, num_videos)
            except CdbVideoError as error:
                if isinstance(error, ConfigError):
                    raise
                self.folder.append([_error_row(record.path, str(error))])
            tick()

    def _along(self, number: int, path: str, num_videos: int) -> None:
        """One video, window by window; it is decoded once, and once more to be annotated."""
        from cdb_video.engine.film import annotate
        from cdb_video.engine.predict import joined
        from cdb_video.report.timeline import draw_timeline

        words, rows = self.words, []

        def noted() -> Iterator["Prediction"]:
            for one in self.predictor.windows(path, words.window, words.stride, words.batch_size):
                rows.append(self._row(one))
                yield one

        line = joined(self.predictor.class_names, noted(), words.stride)
        segments = line.segments
        picture = self.folder.picture_of(number, num_videos, path, "timeline.png")
        cut = [(one.start, one.end, one.class_id) for one in segments]
        title = Path(path).name.encode(errors="replace").decode()
        draw_timeline(picture, title, line.class_names, line.times, line.scores, cut)
        if words.annotate:
            film = self.folder.picture_of(number, num_videos, path, "annotated.mp4")
            annotate(film, path, line, self.predictor.decoding)
        cells = [(s.start, s.end, s.class_name, round(s.score, 6)) for s in segments]
        self.folder.append_segments(path, cells)
        self.folder.append(rows)

    def _row(self, one: "Prediction") -> "PredictedRow":
        from cdb_video.prediction_folder import PredictedRow

        if one.error:
            return _error_row(one.path, one.error, one.start, one.end)
        top = [(name, round(score, 6)) for name, score in one.top(self.words.top)]
        return PredictedRow(one.path, one.start, one.end, *top[0], top, "")

    def _identity(self) -> dict[str, Any]:
        from cdb_video.files import sha256

        return {
            "checkpoint": sha256(self.predictor.checkpoint.path),
            "views": list(self.views),
            "window": self.words.window,
            "stride": self.words.stride if self.words.window else 0.0,
            "top": self.words.top,
            "processes": self.shard[1],
        }


def _error_row(
    path: str, error: str, start: float | None = None, end: float | None = None
) -> "PredictedRow":
    from cdb_video.prediction_folder import PredictedRow

    return PredictedRow(path, start, end, "", 0.0, [], error)


def _watch(predictor: "Predictor", words: argparse.Namespace) -> int:
    from cdb_video.engine.live import watch

    for second, one in watch(predictor, words.camera, words.window or 2.0, words.stride):
        top = "  ".join(f"{name} {score:.2f}" for name, score in one.top(words.top))
        print(f"{second:8.1f} s  {top}", flush=True)
    return 0


def _shard(text: str) -> tuple[int, int]:
    """Number of this share and of all: as typed, or as torchrun says."""
    if not text:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ConfigError(f"--shard must be I/N with I from 0 to N - 1, such as 0/4, got {text!r}")
    return int(index), int(count)


def _views(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    temporal, _, spatial = text.partition("x")
    if not (temporal.isdecimal() and int(temporal) > 0 and spatial in ("1", "3")):
        raise ConfigError(f"--views must be TxS with S 1 or 3, such as 10x3, got {text!r}")
    return int(temporal), int(spatial)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number
