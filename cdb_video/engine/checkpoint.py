"""Checkpoints of a run: what is in them, where they lie, and how a run goes on from one."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import nn
from torch.optim import Optimizer

import cdb_video
from cdb_video.config import dump, to_node
from cdb_video.data.samplers.base import Sampler
from cdb_video.engine.average import WeightAverage
from cdb_video.engine.files import point, replacing
from cdb_video.errors import CheckpointError
from cdb_video.losses.base import Loss
from cdb_video.models import read_checkpoint
from cdb_video.options import Config

FREE_TO_CHANGE = (
    "OUTPUT_DIR",
    "DEVICE",
    "IMPORTS",
    "LOG_PERIOD",
    "TEST.",
    "STAGE2.",
    "DATA_LOADER.",
    "TRAIN.AUTO_RESUME",
    "TRAIN.CHECKPOINT_PERIOD",
    "TRAIN.KEEP_CHECKPOINTS",
    "SOLVER.MAX_EPOCH",
    "SOLVER.ACCUMULATION_STEPS",
    "MODEL.PRETRAINED",
    "MODEL.ACT_CHECKPOINT",
)
"""Beginnings of the keys that may differ between a run and its resumption; ROOT may, too."""


class State(NamedTuple):
    """The parts of a run that change as it trains."""

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    sampler: Sampler
    average: WeightAverage


class Progress(NamedTuple):
    """How far a run is."""

    epoch: int = 0
    """Epochs finished."""
    best: float | None = None
    """Highest TRAIN.BEST_METRIC so far."""


class Checkpoints:
    """The checkpoints in OUTPUT_DIR/checkpoints: ``epoch_0001.pt`` ..., ``latest.pt``, ``best.pt``.

    Args:
        config: of the run; its text goes into each checkpoint.
        class_names: (K,) names, which go along too.
    """

    def __init__(self, config: Config, class_names: list[str]) -> None:
        self.folder = checkpoint_folder(config)
        self._config = config
        self._class_names = class_names

    def save(self, state: State, progress: Progress, *, keep: bool, best: bool) -> None:
        """Writes the state after an epoch.

        Args:
            keep: write it as this epoch's checkpoint and as ``latest.pt``.
            best: write it as ``best.pt``.
        """
        content = {
            "epoch": progress.epoch,
            "best": progress.best,
            "model_state": state.average.model.state_dict(),
            "average_state": state.average.state_dict(),
            "optimizer_state": state.optimizer.state_dict(),
            "loss_state": state.loss.state_dict(),
            "sampler_state": state.sampler.state_dict(),
            "class_names": self._class_names,
            "config": dump(self._config),
            "versions": _versions(),
        }
        name = f"epoch_{progress.epoch:04d}.pt" if keep else "best.pt"
        if not (keep or best):
            return
        with replacing(self.folder / name) as path:
            torch.save(content, path)
        if keep:
            point(self.folder / "latest.pt", self.folder / name)
            self._drop_old()
        if best and keep:
            point(self.folder / "best.pt", self.folder / name)

    def _drop_old(self) -> None:
        keep = self._config.train.keep_checkpoints
        for path in sorted(self.folder.glob("epoch_*.pt"))[:-keep] if keep else []:
            path.unlink()

    def resume(self, state: State) -> Progress:
        """Puts ``state`` where ``latest.pt`` left it; where there is none, nothing happens.

        Raises:
            CheckpointError: the checkpoint is unreadable, or of a run with other options.
        """
        path = self.folder / "latest.pt"
        if not path.exists():
            return Progress()
        content = read_checkpoint(path)
        self._check_same_run(path, content)
        try:
            state.model.load_state_dict(content["model_state"])
            state.average.load_state_dict(content["average_state"])
            state.optimizer.load_state_dict(content["optimizer_state"])
            state.loss.load_state_dict(content["loss_state"])
            state.sampler.load_state_dict(content["sampler_state"])
            return Progress(content["epoch"], content["best"])
        except (KeyError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{path} does not fit this run: {reason}") from None

    def _check_same_run(self, path: Path, content: dict[str, Any]) -> None:
        advice = "choose another OUTPUT_DIR, or start anew with TRAIN.AUTO_RESUME false"
        if content.get("class_names") != self._class_names:
            raise CheckpointError(f"{path} is of a run with other classes; {advice}")
        before = _leaves(yaml.safe_load(content["config"]))
        now = _leaves(yaml.safe_load(to_node(self._config).dump()))
        # An option of only one of them came or went with a version, or with a NAME that differs.
        for key in sorted(before.keys() & now.keys()):
            free = key.startswith(FREE_TO_CHANGE) or key.endswith(".ROOT")
            if not free and before.get(key) != now.get(key):
                raise CheckpointError(
                    f"{path} is of a run with {key} {before.get(key)}, got {now.get(key)}; {advice}"
                )


def checkpoint_folder(config: Config) -> Path:
    """Where a run's checkpoints lie."""
    return Path(config.output_dir) / "checkpoints"


def latest_checkpoint(config: Config) -> Path | None:
    """The checkpoint from which the run goes on; None if it starts anew."""
    path = checkpoint_folder(config) / "latest.pt"
    return path if config.train.auto_resume and path.exists() else None


def save_model(
    config: Config, class_names: list[str], model: nn.Module, epoch: int, origin: dict[str, Any]
) -> Path:
    """Writes ``best.pt`` of a model that is to be tested, not trained on; returns its path.

    Args:
        config: of the model; its OUTPUT_DIR is where the checkpoint goes.
        epoch: epochs that made the model.
        origin: plain values that say how it was made.
    """
    path = checkpoint_folder(config) / "best.pt"
    content = {
        "epoch": epoch,
        "model_state": model.state_dict(),
        "class_names": class_names,
        "config": dump(config),
        "origin": origin,
        "versions": _versions(),
    }
    with replacing(path) as partial:
        torch.save(content, partial)
    return path


def _versions() -> dict[str, str]:
    return {
        "cdb_video": cdb_video.__version__,
        "torch": str(torch.__version__),
        "python": sys.version.split()[0],
    }


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves
