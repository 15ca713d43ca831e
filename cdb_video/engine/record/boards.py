"""Boards that show the numbers and pictures of a run: TensorBoard and optional others."""

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cdb_video.engine.record.pictures import Picture
from cdb_video.errors import ConfigError

Options = Mapping[str, str]


class Board(Protocol):
    """A board."""

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Shows numbers of a step."""

    def image(self, name: str, picture: Picture, step: int) -> None:
        """Shows a picture of a step."""

    def close(self, options: Options, scores: Mapping[str, float]) -> None:
        """Ends the board, with the options and results of a finished run."""


class TensorBoard:
    """Files in OUTPUT_DIR/tensorboard.

    Args:
        folder: of the files; ``step``: later entries in it are dropped.
    """

    def __init__(self, folder: Path, step: int, name: str, options: Options) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, so not by --help

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, picture: Picture, step: int) -> None:
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self, options: Options, scores: Mapping[str, float]) -> None:
        if scores:
            self._writer.add_hparams(dict(options), dict(scores), run_name=".")
        self._writer.close()


class WandB:
    """Weights & Biases, through its public client. A resumed run is the same run there."""

    def __init__(self, folder: Path, step: int, name: str, options: Options) -> None:
        self._client: Any = importlib.import_module("wandb")
        identity = hashlib.sha256(str(folder.resolve()).encode("utf-8", "replace")).hexdigest()[:16]
        self._run = self._client.init(
            project="cdb_video",
            dir=str(folder.parent),
            name=name,
            id=identity,
            resume="allow",
            config=dict(options),
        )

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def image(self, name: str, picture: Picture, step: int) -> None:
        self._run.log({name: self._client.Image(picture)}, step=step)

    def close(self, options: Options, scores: Mapping[str, float]) -> None:
        self._run.summary.update(dict(scores))
        self._run.finish()


class MLflow:
    """MLflow, through its public client. MLFLOW_TRACKING_URI names the server."""

    def __init__(self, folder: Path, step: int, name: str, options: Options) -> None:
        self._client: Any = importlib.import_module("mlflow")
        self._client.set_experiment("cdb_video")
        self._client.start_run(run_name=name)
        self._client.log_params({key: value[:500] for key, value in options.items()})

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        self._client.log_metrics(
            {_plain(name): value for name, value in numbers.items()}, step=step
        )

    def image(self, name: str, picture: Picture, step: int) -> None:
        self._client.log_image(picture, f"{_plain(name).replace('/', '_')}_{step:08d}.png")

    def close(self, options: Options, scores: Mapping[str, float]) -> None:
        self._client.log_metrics({_plain(name): value for name, value in scores.items()})
        self._client.end_run()


BOARDS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}


def check_loggers(names: Sequence[str]) -> None:
    """Raises ``ConfigError`` if the client of a board is not installed."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"LOGGER {name} needs pip install {name}: {error}") from None


def open_boards(
    names: Sequence[str], folder: Path, step: int, name: str, options: Options
) -> list[Board]:
    """The boards in LOGGER.

    Args:
        folder: of TensorBoard's files. Other boards identify the run by it.
        step: the last finished step.
        name: of the run.
        options: of the run, key -> value.
    """
    return [BOARDS[one](folder, step, name, options) for one in names]


def _plain(name: str) -> str:
    """A name for MLflow, which allows letters, digits and some signs."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)
