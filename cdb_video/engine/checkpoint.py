"""Saves a run, at the end of an epoch or within one, and brings it back to where it was."""

import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import yaml
from torch.optim import Optimizer

import cdb_video
from cdb_video import distributed
from cdb_video.data.samplers.base import Sampler
from cdb_video.engine.average import WeightAverage
from cdb_video.engine.seen import Seen
from cdb_video.errors import CheckpointError
from cdb_video.files import point, replacing
from cdb_video.losses.base import Loss
from cdb_video.models import Checkpoint, Classifier
from cdb_video.run_folder import RunFolder

FREE_TO_CHANGE = (
    "OUTPUT_DIR",
    "DEVICE",
    "IMPORTS",
    "LOG_PERIOD",
    "TEST.",
    "RETRAIN.",
    "DATA_LOADER.",
    "DATA.MEAN",  # what the model was trained with is checked instead
    "DATA.STD",
    "DATA.DAMAGE",
    "DATA.MAX_",
    "DATA.ON_BAD_CLIP",
    "TRAIN.AUTO_RESUME",
    "TRAIN.CHECKPOINT_",
    "TRAIN.KEEP_CHECKPOINTS",
    "SOLVER.MAX_EPOCH",
    "SOLVER.ACCUMULATION_STEPS",
    "MODEL.PRETRAINED",
    "MODEL.ACT_CHECKPOINT",
)
"""Beginnings of the keys that may differ between a run and its resumption; ROOT may, too."""


class State(NamedTuple):
    """The parts of a run that change as it trains."""

    model: Classifier
    optimizer: Optimizer
    loss: Loss
    sampler: Sampler
    average: WeightAverage
    seen: Seen


class Progress(NamedTuple):
    """How far a run is."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Optimiser steps of the epoch after those."""
    best: float | None = None
    """Highest TRAIN.BEST_METRIC so far."""


class Identity(NamedTuple):
    """What goes into every checkpoint of a run as it is."""

    class_names: list[str]
    groups: list[str]
    """(K,) the name of each class's group."""
    config: str
    """YAML text of the options."""


class Checkpoints:
    """The checkpoints in a run folder.

    Args:
        folder: of the run.
        identity: of the run.
        keep: newest epoch checkpoints to keep; 0 keeps all.
        minutes: between checkpoints within an epoch; 0 makes none.
    """

    def __init__(self, folder: RunFolder, identity: Identity, keep: int, minutes: float) -> None:
        self._folder = folder
        self._identity = identity
        self._keep = keep
        self._seconds = 60 * minutes
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether a checkpoint within the epoch should be saved now, by this process's clock."""
        return self._seconds > 0 and time.monotonic() - self._saved >= self._seconds

    def save(self, state: State, progress: Progress, *, keep: bool, best: bool) -> None:
        """Writes the state after an epoch; only the main process does.

        Args:
            keep: write it as this epoch's checkpoint and as ``latest.pt``.
            best: write it as ``best.pt``.
        """
        if not (keep or best) or not distributed.is_main():
            return
        path = self._folder.of_epoch(progress.epoch) if keep else self._folder.best
        with replacing(path) as partial:
            torch.save(self._content(state, progress, []), partial)
        self._saved = time.monotonic()
        if keep:
            point(self._folder.latest, path)
            for old in self._folder.epoch_checkpoints()[: -self._keep] if self._keep else []:
                old.unlink()
        if best and keep:
            point(self._folder.best, path)

    def save_within(self, state: State, progress: Progress) -> None:
        """Writes the state within an epoch as ``latest.pt``; every process must call it."""
        own = {"seen": state.seen.state_dict(), "averaged": state.average.own_buffers()}
        processes = distributed.gather(own)
        if distributed.is_main():
            with replacing(self._folder.latest) as partial:
                torch.save(self._content(state, progress, processes), partial)
        self._saved = time.monotonic()

    def _content(self, state: State, progress: Progress, processes: list[Any]) -> dict[str, Any]:
        return {
            **progress._asdict(),
            "model_state": state.average.model.state_dict(),
            "average_state": state.average.state_dict(),
            "optimizer_state": state.optimizer.state_dict(),
            "loss_state": state.loss.state_dict(),
            "sampler_state": state.sampler.state_dict(),
            "processes": processes,
            **describe(state.model, self._identity),
        }

    def latest(self) -> Checkpoint | None:
        """The checkpoint that the run goes on from, read; None where there is none.

        Raises:
            CheckpointError: it is unreadable, or of a run with other options.
        """
        if not self._folder.latest.exists():
            return None
        checkpoint = Checkpoint.read(self._folder.latest, training=True)
        self._check_same_run(checkpoint)
        return checkpoint

    def _check_same_run(self, checkpoint: Checkpoint) -> None:
        path = checkpoint.path
        advice = "choose another OUTPUT_DIR, or start anew with TRAIN.AUTO_RESUME false"
        if checkpoint.class_names != self._identity.class_names:
            raise CheckpointError(f"{path} is of a run with other classes; {advice}")
        before = _leaves(checkpoint.config)
        now = _leaves(yaml.safe_load(self._identity.config))
        # An option of only one of them came or went with a version, or with a NAME that differs.
        for key in sorted(before.keys() & now.keys()):
            free = key.startswith(FREE_TO_CHANGE) or key.endswith(".ROOT")
            if not free and before.get(key) != now.get(key):
                raise CheckpointError(
                    f"{path} is of a run with {key} {before.get(key)}, got {now.get(key)}; {advice}"
                )


def restore(state: State, checkpoint: Checkpoint) -> Progress:
    """Puts ``state`` where ``checkpoint`` left it.

    Raises:
        CheckpointError: it does not fit.
    """
    content: Mapping[str, Any] = checkpoint.training or {}
    try:
        state.model.load_state_dict(content["model_state"])
        state.average.load_state_dict(content["average_state"])
        state.optimizer.load_state_dict(content["optimizer_state"])
        state.loss.load_state_dict(content["loss_state"])
        state.sampler.load_state_dict(content["sampler_state"])
        processes = content.get("processes", [])
        if len(processes) == distributed.world_size():
            own = processes[distributed.rank()]
            state.seen.load_state_dict(own["seen"])
            state.average.load_own_buffers(own["averaged"])
        elif distributed.is_main():
            state.seen.load_sum([own["seen"] for own in processes])
        return Progress(content["epoch"], content.get("step", 0), content["best"])
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{checkpoint.path} does not fit this run: {reason}") from None


def save_model(
    folder: RunFolder, identity: Identity, model: Classifier, epoch: int, origin: dict[str, Any]
) -> None:
    """Writes ``best.pt`` of a model that is to be tested, not trained on.

    Args:
        epoch: epochs that made the model.
        origin: plain values that say how it was made.
    """
    content = {
        "epoch": epoch,
        "model_state": model.state_dict(),
        "origin": origin,
        **describe(model, identity),
    }
    with replacing(folder.best) as partial:
        torch.save(content, partial)


def describe(model: Classifier, identity: Identity) -> dict[str, Any]:
    """What a checkpoint says about its model beside the tensors."""
    mean, std = model.normalisation
    return {
        **identity._asdict(),
        "normalisation": {"mean": list(mean), "std": list(std)},
        "versions": {
            "cdb_video": cdb_video.__version__,
            "torch": str(torch.__version__),
            "python": sys.version.split()[0],
        },
    }


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves
