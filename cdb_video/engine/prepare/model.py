"""The network of a run: new, or of a checkpoint."""

import torch
from rich.console import Console

from cdb_video.engine.prepare.normalisation import set_normalisation
from cdb_video.errors import ConfigError
from cdb_video.models import Architecture, Checkpoint, Classifier, build
from cdb_video.options import Config
from cdb_video.outputs import Outputs


def new_model(config: Config, outputs: Outputs, device: torch.device) -> Classifier:
    """A fresh classifier on ``device``, the same for the same seed.

    Raises:
        ConfigError: the network takes clips of other frames or another size than DATA gives.
    """
    torch.manual_seed(config.rng_seed)
    model = build(Architecture.of(config.model), outputs)
    check_input(config, model)
    if config.train.precision != "auto":
        model.set_precision(config.train.precision)
    prepared: Classifier = model.to(device).to(memory_format=torch.channels_last_3d)
    return prepared


def open_model(
    config: Config, source: Checkpoint, outputs: Outputs, device: torch.device, screen: Console
) -> Classifier:
    """The model of ``source``, on ``device`` and as ``config`` describes it.

    Raises:
        CheckpointError: the checkpoint does not fit, or its clips were normalised otherwise.
        ConfigError: as ``new_model``.
    """
    wanted = config.train.precision
    precision = "" if wanted == "auto" else wanted
    model = source.open(device, Architecture.of(config.model), outputs, precision)
    check_input(config, model)
    set_normalisation(model, config.data, source, screen, strict=True)
    return model


def check_input(config: Config, model: Classifier) -> None:
    """Raises ``ConfigError`` where a network takes other clips than DATA gives."""
    wanted, given = model.input_format[:2], (config.data.num_frames, config.data.crop_size)
    if model.fixed_input and wanted != given:
        raise ConfigError(
            f"DATA.NUM_FRAMES and DATA.CROP_SIZE must be {wanted} for MODEL.NAME "
            f"{model.architecture.name} with its options, got {given}"
        )
