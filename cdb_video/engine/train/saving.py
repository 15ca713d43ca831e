"""Saves a run, at the end of an epoch or within one."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.plan import Progress, Step
from cdb_video.errors import CheckpointError
from cdb_video.metrics.groups import Grouping
from cdb_video.models import Classifier
from cdb_video.models.tuning.light import is_light, plain_state
from cdb_video.output.run_folder import RunFolder
from cdb_video.outputs import Outputs
from cdb_video.sections import Train
from cdb_video.system.files import free_space, point, replacing
from cdb_video.version import __version__


class Identity(NamedTuple):
    """The values that are the same in every checkpoint of a run."""

    outputs: Outputs
    grouping: Grouping
    config: str
    """YAML text of the options."""

    def plain(self) -> dict[str, Any]:
        """The values as a checkpoint stores them."""
        return {
            "class_names": self.outputs.class_names,
            "groups": self.grouping.groups,
            "group_names": [*self.grouping.names],
            "config": self.config,
            "parts": self.outputs.plain(),
        }


class Checkpoints:
    """The checkpoints in a run folder.

    Args:
        folder: of the run.
        identity: of the run.
        options: which checkpoints to keep, and how often to save within an epoch.
    """

    def __init__(self, folder: RunFolder, identity: Identity, options: Train) -> None:
        self._folder = folder
        self._identity = identity
        self._keep = options.keep_checkpoints
        self._seconds = 60 * options.checkpoint_minutes
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether a checkpoint within the epoch should be saved now, by this process's clock."""
        return self._seconds > 0 and time.monotonic() - self._saved >= self._seconds

    def save(self, learner: Learner, progress: Progress, *, keep: bool, best: bool) -> None:
        """Writes the state after an epoch, in the main process. Every process must call it.

        Args:
            keep: write it as this epoch's checkpoint and as ``latest.pt``.
            best: write it as ``best.pt``.

        Raises:
            CheckpointError: it cannot be written. Existing checkpoints stay.
        """
        if not (keep or best):
            return
        content = self._content(learner, progress, [])
        if not distributed.is_main():
            return
        path = self._folder.of_epoch(progress.epoch) if keep else self._folder.best
        with written(path) as partial:
            torch.save(content, partial)
        self._saved = time.monotonic()
        # The best comes first: resuming from latest.pt relies on it.
        if best and keep:
            point(self._folder.best, path)
        if keep:
            point(self._folder.latest, path)
            for old in self._folder.epoch_checkpoints()[: -self._keep] if self._keep else []:
                old.unlink()

    def save_within(self, learner: Learner, progress: Progress) -> None:
        """Writes the state within an epoch as ``latest.pt``. Every process must call it.

        Raises:
            CheckpointError: it cannot be written. The existing one stays.
        """
        own = {"seen": learner.seen.state_dict(), "averaged": learner.average.own_buffers()}
        content = self._content(learner, progress, distributed.gather(own))
        if distributed.is_main():
            with written(self._folder.latest) as partial:
                torch.save(content, partial)
        self._saved = time.monotonic()

    def save_batch(
        self, learner: Learner, step: Step, batches: Sequence[Batch], paths: list[str]
    ) -> Path:
        """Writes the clips of a step and the weights before it, for a replay, in any process.

        Returns:
            the path.
        """
        path = self._folder.bad_batch(distributed.rank())
        content = {
            "epoch": step.epoch,
            "step": step.number,
            "rank": distributed.rank(),
            "paths": paths,
            "batches": [tuple(batch[:3]) for batch in batches],
            "class_weights": learner.losses.weights_in(step.epoch),
            "model_state": plain_state(learner.model),
            **_described(learner.model, self._identity),
        }
        with written(path) as partial:
            torch.save(content, partial)
        return path

    def _content(
        self, learner: Learner, progress: Progress, processes: list[Any]
    ) -> dict[str, Any]:
        parts = {
            "model_state": plain_state(learner.average.model),
            "tuned_state": learner.model.state_dict() if is_light(learner.model) else {},
            "average_state": learner.average.state_dict(),
            "optimizer_state": learner.optimizer.state_dict(),
        }
        return {
            **progress._asdict(),
            **distributed.gathered(parts),
            "loss_state": learner.losses.state_dict(),
            "sampler_state": learner.sampler.state_dict(),
            "mixer_state": learner.mixer.state_dict(),
            "scaler_state": learner.scaler.state_dict(),
            "processes": processes,
            "world_size": distributed.world_size(),
            "threads": torch.get_num_threads(),
            **_described(learner.model, self._identity),
        }


def save_model(
    folder: RunFolder, identity: Identity, model: Classifier, epoch: int, origin: dict[str, Any]
) -> None:
    """Writes ``best.pt`` of a model for testing, without training state.

    Args:
        epoch: number of its epochs.
        origin: plain values that describe how it was made.
    """
    content = {
        "epoch": epoch,
        "model_state": model.state_dict(),
        "origin": origin,
        **_described(model, identity),
    }
    with written(folder.best) as partial:
        torch.save(content, partial)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """As ``replacing``, for a checkpoint.

    Raises:
        CheckpointError: it cannot be written. The message names the free disk space.
    """
    try:
        with replacing(path) as partial:
            yield partial
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a full disk
        free = free_space(path.parent)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:100]
        raise CheckpointError(
            f"cannot write {path}: {reason}; {free / 1e6:,.0f} MB are free there and a checkpoint "
            "takes as much as the last one; earlier checkpoints are unchanged"
        ) from None


def _described(model: Classifier, identity: Identity) -> dict[str, Any]:
    """The description of a model in its checkpoint, without tensors."""
    mean, std = model.normalisation
    return {
        **identity.plain(),
        "architecture": model.architecture.text(),
        "precision": model.precision,
        "normalisation": {"mean": list(mean), "std": list(std)},
        "versions": {
            "cdb_video": __version__,
            "torch": str(torch.__version__),
            "python": sys.version.split()[0],
        },
    }
