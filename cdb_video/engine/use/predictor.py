"""Predicts the class of videos, and of every moment of a long video."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cdb_video.data.batches.batch import BatchLoader
from cdb_video.data.batches.clip_loader import ClipLoader
from cdb_video.data.batches.loading import Loading, Share
from cdb_video.data.batches.streamed import StreamedClips
from cdb_video.data.decode import Decoding, VideoReader
from cdb_video.data.decode.in_memory import InMemoryVideo
from cdb_video.data.frames.crops import fixed_crop
from cdb_video.data.frames.cutting import Clip, cut, cut_views
from cdb_video.data.frames.sampling import ClipSampling, frame_range
from cdb_video.data.lists.records import NO_LABEL, Record
from cdb_video.engine.evaluate.votes import Average, elect, votes
from cdb_video.engine.prepare.device import device_named
from cdb_video.engine.use.given import (
    Video,
    as_record,
    check_input,
    check_loading,
    in_memory,
    is_file,
    is_one,
)
from cdb_video.engine.use.prediction import Prediction
from cdb_video.engine.use.timeline import Timeline, smoothed, window_spans
from cdb_video.errors import DataError, DecodeError, TrainingError
from cdb_video.models import Checkpoint
from cdb_video.models.joint import joint_probabilities
from cdb_video.registry import import_modules
from cdb_video.sections import Test
from cdb_video.system.memory import keep_freed_memory

CLIP_TIMEOUT_S = 120.0
"""That a decoding process may take for one file."""


def load(checkpoint: str | Path, device: str = "auto", imports: Sequence[str] = ()) -> "Predictor":
    """A trained model, ready for any video.

    Args:
        checkpoint: of a run, such as ``output/mine/checkpoints/best.pt``.
        device: auto (CUDA where there is one), cpu or cuda.
        imports: your modules that register its backbone or decoder, as in IMPORTS.

    Raises:
        CdbVideoError: it cannot be read, is no checkpoint of this program, or there is no such
            ``device``.
    """
    import_modules(imports)
    return Predictor(Checkpoint.read(checkpoint), device)


class Predictor:
    """A model and the description of its input, from one checkpoint.

    Attributes:
        model: the classifier, in eval mode on ``device``.
        class_names: (K,).
        views: temporal and spatial views of the test, the default here.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = device_named(device)
        keep_freed_memory()  # not all: the process may be a server
        self.model = checkpoint.open(self.device)
        self.class_names = self.model.outputs.class_names
        self.sampling = checkpoint.section("DATA", ClipSampling)
        self.decoding = checkpoint.section("DATA", Decoding)
        self.size: int = checkpoint.option("DATA", "CROP_SIZE")
        test: Test = checkpoint.section("TEST", Test)
        self.views = (test.num_ensemble_views, test.num_spatial_crops)
        self.average: Average = test.ensemble_method
        check_input(checkpoint.path, self.sampling.num_frames, self.size, self.views)

    def __call__(
        self, video: Video, views: tuple[int, int] | None = None, fps: float | None = None
    ) -> Prediction:
        """Predicts one video.

        Raises:
            DataError, DecodeError: it cannot be decoded.
            ConfigError: as ``predict``.
        """
        (found,) = self.predict([video], views=views, fps=fps)
        if found.error:
            raise DataError(found.error)
        return found

    def predict(
        self,
        videos: Sequence[Video] | Video,
        *,
        views: tuple[int, int] | None = None,
        batch_size: int = 8,
        num_workers: int = 0,
        fps: float | None = None,
    ) -> list[Prediction]:
        """Predicts each video, or one. A file that cannot be decoded gives an error.

        Args:
            views: clips along time, and crops of each (1 or 3); by default those of the test.
            batch_size: clips in one forward pass.
            num_workers: processes that decode files; 0 decodes in this one.
            fps: pictures a second of arrays; needed where the model was trained with SAMPLING_FPS.

        Raises:
            DataError: an array is not uint8 (T, H, W, 3).
            ConfigError: ``views``, ``batch_size``, ``num_workers`` or ``fps`` is out of range, or
                ``fps`` is missing.
        """
        check_loading(views or self.views, batch_size, num_workers)
        several: list[Any] = [videos] if is_one(videos) else list(videos)  # type: ignore[arg-type]
        records = {i: as_record(v) for i, v in enumerate(several) if is_file(v)}
        if not self.sampling.sampling_fps and fps is None:
            fps = 1.0  # frames are counted, and no time is looked at
        arrays = {i: in_memory(v, fps) for i, v in enumerate(several) if i not in records}
        of_files = self.stream(list(records.values()), views, batch_size, num_workers)
        of_arrays = self._of_arrays(list(arrays.values()), views, batch_size)
        found = dict(zip(records, of_files, strict=True))
        found |= dict(zip(arrays, of_arrays, strict=True))
        return [found[i] for i in range(len(several))]

    def stream(
        self,
        records: Sequence[Record],
        views: tuple[int, int] | None = None,
        batch_size: int = 8,
        num_workers: int = 0,
    ) -> Iterator[Prediction]:
        """As ``predict``, for any number of files; yields each prediction when it is ready."""
        if records:
            views = views or self.views
            loader = self.loader(records, views, batch_size, num_workers)
            yield from self._elected(loader, records, views)

    def loader(
        self, records: Sequence[Record], views: tuple[int, int], batch_size: int, num_workers: int
    ) -> ClipLoader:
        """The clips of files in the model's format. Errors of decoding are kept."""
        check_loading(views, batch_size, num_workers)
        loading = Loading(
            sampling=self.sampling,
            size=self.size,
            batch_size=batch_size,
            decoding=self.decoding,
            tolerant=True,
            share=Share(num_workers=num_workers, clip_timeout=CLIP_TIMEOUT_S),
        )
        return ClipLoader(records, loading, views=views)

    @property
    def minority(self) -> list[bool]:
        """(K,) whether a class is in the group of the rarest classes."""
        groups = self.checkpoint.groups or [""] * len(self.class_names)
        names = self.checkpoint.group_names
        return [group in names[:1] for group in groups]

    def frame_rate(self, records: Sequence[Record]) -> float:
        """The mean frame rate of the files of ``records`` that can be opened."""
        rates = []
        for record in records:
            with suppress(DecodeError), VideoReader(record.path, self.decoding) as video:
                rates.append(video.fps)
        return round(float(np.mean(rates)), 3) if rates else 0.0

    def windows(
        self,
        video: Video,
        window: float = 2.0,
        stride: float = 0.5,
        batch_size: int = 8,
        fps: float | None = None,
    ) -> Iterator[Prediction]:
        """Predicts each window of a video, or of a part of it, in order.

        The video is decoded once and not held.

        Args:
            fps: pictures a second of an array, which must be given.

        Raises:
            ConfigError: ``window`` or ``stride`` is not above 0, windows would leave gaps, or
                ``fps`` is missing.
            DataError: the part lies outside the file.
            DecodeError: the file cannot be decoded further. Earlier windows have been yielded.
        """
        check_loading((1, 1), batch_size, 0)
        with ExitStack() as opened:
            source: VideoReader | InMemoryVideo
            part = as_record(video) if is_file(video) else Record("", NO_LABEL)
            if part.path:
                span = (part.start, part.end)
                source = opened.enter_context(VideoReader(part.path, self.decoding, span))
            else:
                source = in_memory(video, fps)
            first, last = frame_range(source.times, source.end_s, part.start, part.end)
            ends = [*source.times.tolist(), source.end_s]
            begin = max(part.start or 0.0, ends[first])
            end = min(part.end or ends[last], ends[last])
            spans = window_spans(begin, end, window, stride)
            ranges = [frame_range(source.times, source.end_s, *span) for span in spans]
            indices = partial(self.sampling.indices, times=source.times)
            wanted = [indices(first, last) for first, last in ranges]
            clips = enumerate(cut(source, wanted, [fixed_crop(*source.size)], self.size))
            records = [Record(part.path, NO_LABEL, *span) for span in spans]
            yield from self._elected(StreamedClips(clips, len(spans), batch_size), records, (1, 1))

    def timeline(
        self,
        video: Video,
        window: float = 2.0,
        stride: float = 0.5,
        batch_size: int = 8,
        fps: float | None = None,
    ) -> Timeline:
        """Predicts a video of any length: one prediction for each window, averaged and joined.

        Args:
            window: seconds that the model sees at once.
            stride: seconds from one window to the next, at most ``window``.
            fps: pictures a second of an array, which must be given.

        Raises:
            CdbVideoError: as ``windows``.
        """
        windows = self.windows(video, window, stride, batch_size, fps)
        return timeline_of(self.class_names, windows, stride)

    def _of_arrays(
        self, videos: Sequence[InMemoryVideo], views: tuple[int, int] | None, batch_size: int
    ) -> Iterator[Prediction]:
        if not videos:
            return
        views = views or self.views

        def clips() -> Iterator[tuple[int, Clip]]:
            for number, video in enumerate(videos):
                for clip in cut_views(video, 0, len(video.times), self.sampling, views, self.size):
                    yield number, clip

        count = views[0] * views[1] * len(videos)
        records = [Record("", NO_LABEL)] * len(videos)
        yield from self._elected(StreamedClips(clips(), count, batch_size), records, views)

    def _elected(
        self, loader: BatchLoader, records: Sequence[Record], views: tuple[int, int]
    ) -> Iterator[Prediction]:
        """Yields each record's prediction, in order, as soon as all of its views have voted."""
        outputs, num_views = self.model.outputs, torch.tensor([views[0] * views[1]])
        bad: dict[int, str] = {}
        ready: list[npt.NDArray[np.float64]] = []
        sums, voters, number = torch.zeros(()), 0, 0
        for batch, voted in votes(self.model, loader, self.average):
            bad.update({one.record: one.reason for one in batch.bad})
            for vote in voted.cpu():
                sums, voters = sums + vote, voters + 1
                if voters == num_views:
                    elected = elect(sums[None], num_views, self.average, outputs)
                    ready.append(self._finite(joint_probabilities(elected, outputs)[0]))
                    sums, voters = torch.zeros(()), 0
            while number in bad or ready:
                record, error = records[number], bad.pop(number, "")
                scores = np.zeros(len(self.class_names)) if error else ready.pop(0)
                span = (record.path, record.start, record.end)
                yield Prediction(*span, self.class_names, scores, error)
                number += 1

    def _finite(self, scores: torch.Tensor) -> npt.NDArray[np.float64]:
        if not scores.isfinite().all():
            raise TrainingError(f"{self.checkpoint.path}: its scores are not finite")
        return scores.numpy()


def timeline_of(class_names: list[str], windows: Iterable[Prediction], stride: float) -> Timeline:
    """The timeline of windows in order, ``stride`` seconds apart."""
    spans, scores = [], []
    for one in windows:
        spans.append((one.start or 0.0, one.end or 0.0))
        scores.append(one.scores.astype(np.float32))
    return smoothed(class_names, spans, np.stack(scores), stride)
