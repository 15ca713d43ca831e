"""A checkpoint, read once, with everything needed to rebuild its model."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdb_video.config.tree import from_tree
from cdb_video.config.yaml_text import parse_yaml
from cdb_video.errors import CheckpointError, ConfigError
from cdb_video.models.architecture import Architecture
from cdb_video.models.backbone import InputFormat
from cdb_video.models.classifier import AUTOCAST, Classifier, Normalisation, build
from cdb_video.models.weights.files import read_content, tensors_in
from cdb_video.models.weights.fit import WeightReport, fit_tensors
from cdb_video.models.weights.sources import forget, locate
from cdb_video.models.weights.stated_normalisation import normalisation_in
from cdb_video.outputs import Outputs
from cdb_video.registry import BACKBONES

SAMPLING = ("NUM_FRAMES", "SAMPLING", "SAMPLING_RATE")
SMALL = 10_000_000
"""Numbers that a network may have whatever its file holds: nobody runs out of memory by these."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint of this program, or of any weight file.

    Tensors are read from the disk when they are used.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    """The model's, by name, on the CPU."""
    normalisation: Normalisation | None
    """Of the input it was trained on; None where it does not say."""
    outputs: Outputs | None
    """What its network tells apart; None in a file of another program."""
    model_options: dict[str, Any]
    """Section MODEL of a config that says what its network is; empty where it does not say."""
    groups: list[str] | None
    """(K,) name of each class's group, as GROUPS said in training; None where unknown."""
    group_names: list[str]
    """Every group, smallest classes first; empty where unknown."""
    precision: str
    """What its model computes in: fp32, tf32, bf16 or fp16."""
    epoch: int
    """Epochs that it was trained for; 0 where it does not say."""
    config: dict[str, Any]
    """The options of its run, as in ``config.yaml``; empty in a file of another program."""
    versions: dict[str, str]
    """Of the programs that wrote it."""
    training: Mapping[str, Any] | None
    """What a run needs to go on; None where it was not asked for, or is not there."""

    @classmethod
    def read(cls, source: str | Path, *, training: bool = False) -> "Checkpoint":
        """Reads a file of ours or of another program, or a transformers folder, once.

        Args:
            source: all that ``locate`` takes.
            training: keep the state that resuming needs.

        Raises:
            CheckpointError: it cannot be read, or is no checkpoint.
        """
        path = locate(source)
        try:
            content = read_content(path)
        except CheckpointError:
            forget(source)
            raise
        ours = isinstance(content.get("versions"), dict) and "cdb_video" in content["versions"]
        epoch = content.get("epoch")
        config = _tree(path, content.get("config")) if ours else {}
        return cls(
            path=path,
            tensors=tensors_in(content, path),
            normalisation=normalisation_in(content, path),
            outputs=_outputs(path, content, ours),
            model_options=Architecture.tree_of(content.get("architecture"))
            or config.get("MODEL", {}),
            groups=_names(content.get("groups")),
            group_names=_names(content.get("group_names"))
            or config.get("TEST", {}).get("GROUP_NAMES", []),  # as of version 0.1
            precision=_precision(content.get("precision"), config, path),
            epoch=epoch if isinstance(epoch, int) else 0,
            config=config,
            versions=dict(content["versions"]) if ours else {},
            training=content if training and ours else None,
        )

    @property
    def class_names(self) -> list[str] | None:
        """(K,) by label; None in a file of another program."""
        return None if self.outputs is None else self.outputs.class_names

    @property
    def input_format(self) -> InputFormat:
        """Frames, size and normalisation of the clips that its model was trained on."""
        if self.normalisation is None:
            raise self._lacks("the normalisation of its input")
        size = self.option("DATA", "CROP_SIZE")
        return InputFormat(self.option("DATA", "NUM_FRAMES"), size, *self.normalisation)

    @property
    def sampling(self) -> dict[str, Any]:
        """The fields of ``ClipSampling`` of its training, in lower case."""
        return {name.lower(): self.option("DATA", name) for name in SAMPLING}

    def option(self, section: str, key: str) -> Any:
        """One option of its run. Raises ``CheckpointError`` if it is not stored."""
        try:
            return self.config[section][key]
        except (KeyError, TypeError):
            raise self._lacks(f"{section}.{key}") from None

    def section(self, name: str, kind: type[Any]) -> Any:
        """A section of its run as the dataclass ``kind``. Missing options get their defaults.

        Raises:
            CheckpointError: one is out of range.
        """
        given = self.config.get(name, {})
        fields = {field.name.upper() for field in fields_of(kind)}
        try:
            return from_tree(kind, {k: v for k, v in given.items() if k in fields}, name)
        except ConfigError as error:
            raise CheckpointError(f"{self.path}: {error}") from None

    @property
    def architecture(self) -> Architecture:
        """The architecture of its network. The module of your own backbone must have been imported.

        Raises:
            CheckpointError: it is not stored, or an option is wrong.
            ConfigError: nothing is registered under the name of its backbone.
        """
        if "NAME" not in self.model_options:
            raise self._lacks("MODEL.NAME")
        BACKBONES.get(str(self.model_options["NAME"]))
        try:
            return Architecture.of_tree(self.model_options)
        except ConfigError as error:
            raise CheckpointError(f"{self.path}: {error}") from None

    def open(
        self,
        device: torch.device | str = "cpu",
        architecture: Architecture | None = None,
        outputs: Outputs | None = None,
        precision: str = "",
    ) -> Classifier:
        """Its model, in eval mode on ``device``.

        Args:
            architecture: of the network; by default the stored one.
            outputs: of the network; by default the stored ones.
            precision: of computation; by default the stored one.

        Raises:
            CheckpointError: it does not hold the whole model, or its description.
            ConfigError: as ``architecture``.
        """
        if outputs is None and self.outputs is None:
            raise self._lacks("class names")
        self._check_size(architecture or self.architecture, outputs or self.outputs)
        model = build(architecture or self.architecture, outputs or self.outputs)  # type: ignore[arg-type]
        model.set_precision(precision or self.precision)
        self.load_into(model)
        model.to(device).to(memory_format=torch.channels_last_3d)
        return model.eval()

    def _check_size(self, architecture: Architecture, outputs: Outputs | None) -> None:
        """Raises ``CheckpointError`` where the network is far larger than the tensors of the file.

        Such options would take all memory before the tensors are found not to fit.
        """
        try:
            with torch.device("meta"):
                model = build(architecture, outputs)  # type: ignore[arg-type]
        except (RuntimeError, NotImplementedError):
            return  # the network looks at values as it is built
        needed = sum(tensor.numel() for tensor in model.state_dict().values())
        there = sum(tensor.numel() for tensor in self.tensors.values())
        if needed > 2 * there + SMALL:
            raise CheckpointError(
                f"{self.path}: its options describe a network of {needed:,} numbers, and it "
                f"holds {there:,}"
            )

    def load_into(self, model: Classifier) -> None:
        """Loads the whole model, with the normalisation of its training.

        Raises:
            CheckpointError: a tensor of the model is missing or of another shape.
        """
        report = self.fit_into(model, min_fraction=0)
        if report.missing or report.mismatched:
            raise CheckpointError(f"{self.path} must hold the whole model. {report}")
        if self.normalisation is not None:
            model.set_normalisation(self.normalisation)

    def fit_into(
        self, model: Classifier, min_fraction: float, with_head: bool = True
    ) -> WeightReport:
        """Copies the tensors that fit, as ``load_weights`` does.

        Args:
            with_head: also those of the classifier.
        """
        tensors = {n: t for n, t in self.tensors.items() if with_head or not n.startswith("fc.")}
        return fit_tensors(model, tensors, self.path, min_fraction)

    def check_classes(self, class_names: list[str]) -> None:
        """Raises ``CheckpointError`` if it was trained on other classes."""
        if self.class_names not in (None, class_names):
            there = self.class_names or []
            more = [name for name in there if name not in class_names]
            less = [name for name in class_names if name not in there]
            what = f"{more[:5]} in place of {less[:5]}" if more or less else "another order"
            raise CheckpointError(
                f"{self.path} must be trained on the {len(class_names)} classes of the data, got "
                f"{len(there)} classes: {what}"
            )

    def _lacks(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path} must be a checkpoint of cdb_video with {what}")


def _names(value: object) -> list[str] | None:
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return value if is_list else None  # type: ignore[return-value]


def _outputs(path: Path, content: dict[str, Any], ours: bool) -> Outputs | None:
    names = _names(content.get("class_names"))
    if names is None:
        return None
    try:
        return Outputs.of_plain(names, content.get("parts") if ours else None)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _precision(stated: object, config: dict[str, Any], path: Path) -> str:
    """The stored precision, or that of the options. Old checkpoints only have MIXED_PRECISION."""
    train = config.get("TRAIN", {})
    option = "bf16" if train.get("MIXED_PRECISION") else train.get("PRECISION", "fp32")
    name = option if not config or stated is None else stated
    if str(name) not in AUTOCAST:
        raise CheckpointError(f"{path}: unknown TRAIN.PRECISION {name!r}")
    return str(name)


def _tree(path: Path, text: object) -> dict[str, Any]:
    try:
        tree = parse_yaml(text) if isinstance(text, str) else None
    except ValueError:
        tree = None
    if not isinstance(tree, dict):
        raise CheckpointError(f"{path} must hold the text of its config")
    return tree
