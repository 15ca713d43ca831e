"""Reads the normalisation that a source of weights states."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cdb_video.config.types import PositiveFloat, coerce, may_change
from cdb_video.config.yaml_text import parse_yaml
from cdb_video.errors import CheckpointError, ConfigError
from cdb_video.models.classifier import Normalisation
from cdb_video.models.weights.files import read_json

SETTINGS = ("video_preprocessor_config.json", "preprocessor_config.json")
"""Where transformers writes how the input is prepared; the first that is there counts."""

DIGITS = 6
"""Decimal places that are kept, so that 0.225 / (1 / 255) is 57.375."""


@dataclass(frozen=True)
class InputNormalisation:
    """The normalisation of a network's input."""

    mean: Literal["auto"] | tuple[float, float, float] = may_change("auto")
    """Mean that is subtracted from red, green and blue in [0, 255]. 'auto' takes the one with which
    the weights of MODEL.PRETRAINED, or the tested checkpoint, were trained. If they do not say, or
    there are none, it takes the one of the backbone's published weights (docs/weights.md)."""
    std: Literal["auto"] | tuple[PositiveFloat, PositiveFloat, PositiveFloat] = may_change("auto")
    """Standard deviation by which red, green and blue in [0, 255] are divided after MEAN is
    subtracted. 'auto' works as for MEAN."""


def normalisation_in(content: dict[str, Any], path: Path) -> Normalisation | None:
    """The normalisation that comes with the weights in ``path``; None if none is stated.

    Checkpoints of this program hold it; older ones, and PySlowFast's, hold the text of their
    config. A transformers folder holds the settings of its preprocessor.

    Args:
        content: of the file or folder ``path``.

    Raises:
        CheckpointError: the values are not three numbers, or the network was trained on BGR.
    """
    if path.is_dir():
        files = (path / name for name in SETTINGS)
        file = next((file for file in files if file.is_file()), None)
        return _of_transformers(file) if file else None
    if isinstance(stated := content.get("normalisation"), dict):
        return _normalisation(path, stated.get("mean"), stated.get("std"))
    versions = content.get("versions")
    if isinstance(versions, dict) and "cdb_video" in versions:
        data = _data_section(content.get("config"))
        return _normalisation(path, data.get("MEAN"), data.get("STD"))
    data = _data_section(content.get("cfg"))
    if data.get("REVERSE_INPUT_CHANNEL"):
        raise _bgr(path, "DATA.REVERSE_INPUT_CHANNEL")
    return _normalisation(path, data.get("MEAN"), data.get("STD"), 1 / 255)


def _data_section(text: object) -> dict[str, Any]:
    """The DATA section of a config's YAML text."""
    try:
        config = parse_yaml(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    data = config.get("DATA") if isinstance(config, dict) else None
    return data if isinstance(data, dict) else {}


def _of_transformers(path: Path) -> Normalisation | None:
    """Read from ``(video * factor - offset - mean) / std``. Each step is optional."""
    settings = read_json(path)
    if settings.get("do_flip_channel_order"):
        raise _bgr(path, "do_flip_channel_order")
    mean, std = settings.get("image_mean"), settings.get("image_std")
    if not settings.get("do_normalize", True):
        mean, std = [0, 0, 0], [1, 1, 1]
    if not settings.get("do_rescale", True):
        return _normalisation(path, mean, std)
    kind = settings.get("video_processor_type", settings.get("image_processor_type"))
    # ViViT's preprocessors map to [-1, 1] first; the one for videos does not store that.
    offset = bool(settings.get("offset", str(kind).startswith("Vivit")))
    return _normalisation(path, mean, std, settings.get("rescale_factor", 1 / 255), offset)


def _normalisation(
    path: Path, mean: object, std: object, factor: object = 1.0, offset: bool = False
) -> Normalisation | None:
    """In [0, 255], of a mean and std that apply to ``video * factor - offset``."""
    if mean is None or std is None:
        return None
    positive = tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    try:
        scale = coerce(factor, PositiveFloat, "the factor on its input")
        centre = coerce(mean, tuple[float, float, float], "the mean of its input")
        spread = coerce(std, positive, "the std of its input")
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    red, green, blue = (round((value + offset) / scale, DIGITS) for value in centre)
    over_red, over_green, over_blue = (round(value / scale, DIGITS) for value in spread)
    return Normalisation((red, green, blue), (over_red, over_green, over_blue))


def _bgr(path: Path, setting: str) -> CheckpointError:
    return CheckpointError(f"{path}: trained on blue, green, red ({setting}); only RGB is taken")
