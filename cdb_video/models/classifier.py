"""The classifier: normalisation, backbone and head, from clips to logits."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from cdb_video.errors import ConfigError
from cdb_video.models.architecture import OWN, Architecture
from cdb_video.models.backbone import RGB, Backbone
from cdb_video.models.heads import AttentiveHead, make_head
from cdb_video.models.layers.half_convolution import prepare_convolutions
from cdb_video.models.mixed import mixed
from cdb_video.models.tuning.light import add_adapters
from cdb_video.outputs import Outputs
from cdb_video.registry import BACKBONES

Self = TypeVar("Self", bound="Classifier")
AUTOCAST: dict[str, torch.dtype | None] = {
    "fp32": None,
    "tf32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""TRAIN.PRECISION -> the type of autocast; None is without it."""


class Normalisation(NamedTuple):
    """``(video - mean) / std`` of red, green and blue in [0, 255]."""

    mean: RGB
    std: RGB


class Normalise(nn.Module):
    """Turns uint8 clips into the network's input, on their device."""

    mean: Tensor
    """(3, 1, 1, 1) float32, in [0, 255]; not part of the state, so that its names stay those of
    public checkpoints."""
    std: Tensor
    """(3, 1, 1, 1) float32."""

    def __init__(self, numbers: Normalisation) -> None:
        super().__init__()
        for name, values in numbers._asdict().items():
            buffer = torch.tensor(values, dtype=torch.float32).view(3, 1, 1, 1)
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, video: Tensor) -> Tensor:
        """uint8 (B, 3, T, H, W) -> float32, in the layout ``channels_last_3d``."""
        normal = (video.float() - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last_3d)


class Classifier(nn.Module):
    """Input normalisation, dropout and a head ``fc``, mixed into a backbone class.

    Head and backbone are one module, so that parameters have the names of public checkpoints
    (``conv1.weight`` ... ``fc.bias``).
    """

    num_features: int
    input_format: Any
    token_layer: str
    architecture: Architecture
    outputs: Outputs
    own_names: ClassVar[tuple[str, ...]] = (
        "dropout",
        "fc",
        "normalise",
        "normalisation",
        "precision",
        "architecture",
        "outputs",
    )

    precision: str
    """What the network computes in, a key of ``AUTOCAST``; the parameters stay in float32."""

    def __init__(self, architecture: Architecture, outputs: Outputs) -> None:
        super().__init__(architecture.options)
        for name in self.own_names:
            if hasattr(self, name):
                raise TypeError(f"{type(self).__name__}: {name!r} is a classifier's own, rename it")
        self.architecture, self.outputs = architecture, outputs
        self.dropout = nn.Dropout(architecture.dropout_rate)
        size, scale = sum(outputs.sizes), architecture.head_scale
        self.fc: nn.Linear = make_head(architecture.head, self.num_features, size, scale)
        if isinstance(self.fc, AttentiveHead) and not getattr(self, "token_layer", ""):
            raise ConfigError(
                f"MODEL.HEAD attentive needs a transformer, got {type(self).__name__}"
            )
        self.precision = "fp32"
        self.set_normalisation(Normalisation(self.input_format.mean, self.input_format.std))

    def set_normalisation(self, numbers: Normalisation) -> None:
        """Sets the normalisation. The default is that of the backbone's published weights."""
        self.normalise = Normalise(numbers).to(self.fc.weight.device)
        self.normalisation = numbers

    def set_precision(self, name: str) -> None:
        """Sets the precision of computation, a key of ``AUTOCAST``.

        fp32 does not change torch's switches, so convolutions may use TF32 on a CUDA device. tf32
        lets matrix products use it, too, in the whole process.
        """
        self.precision = name
        if name == "tf32":
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        if AUTOCAST[name] is not None:
            prepare_convolutions(self)

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """As in ``nn.Module``. 2D convolutions get ``channels_last`` for ``channels_last_3d``."""
        if kwargs.get("memory_format") is torch.channels_last_3d:
            del kwargs["memory_format"]
            layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
            for weight in self.parameters():
                if weight.ndim in layouts:
                    weight.data = weight.data.contiguous(memory_format=layouts[weight.ndim])
        return super().to(*args, **kwargs)

    def forward(self, video: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Logits of all outputs (B, P1 + P2 + ...) of clips (B, 3, T, H, W).

        With a single output these are the logits of the classes (B, K). With several,
        ``joint_logits`` computes those of the classes.

        Args:
            video: uint8 RGB, or float that is already normalised.
            change: changes the features (B, F) before they are classified.

        Raises:
            ValueError: ``video`` has another rank, channel count or type.
        """
        is_bytes = video.dtype == torch.uint8
        if video.ndim != 5 or video.shape[1] != 3 or not (is_bytes or video.is_floating_point()):
            kind = str(video.dtype).removeprefix("torch.")
            raise ValueError(
                f"video must be uint8 or float (B, 3, T, H, W), got {kind} {(*video.shape,)}"
            )
        if is_bytes:
            video = self.normalise(video)
        with self._autocast(video.device.type):
            features = self._features(video)
            if change is not None:
                features = change(features)
            logits: Tensor = self.fc(self.dropout(features))
        return logits

    def _features(self, video: Tensor) -> Tensor:
        """(B, F) from the backbone, or pooled from its last tokens by the head."""
        if not isinstance(self.fc, AttentiveHead):
            features: Tensor = super().forward(video)
            return features
        tokens: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            tokens.append(output if isinstance(output, Tensor) else output[0])

        handle = self.get_submodule(self.token_layer).register_forward_hook(keep)
        try:
            super().forward(video)
        finally:
            handle.remove()
        pooled: Tensor = self.fc.pool(tokens[-1])
        return pooled

    def _autocast(self, device: str) -> AbstractContextManager[Any]:
        dtype = AUTOCAST[self.precision]
        return nullcontext() if dtype is None else torch.autocast(device, dtype)


def build(architecture: Architecture, outputs: Outputs) -> Classifier:
    """A freshly initialised classifier. All networks are built here.

    LoRA is added later, to the weights that a run starts from.

    Raises:
        ConfigError: the head or the adapters do not fit the backbone.
    """
    backbone = BACKBONES.get(architecture.name)
    defaults = () if issubclass(backbone, Backbone) else (Backbone,)
    kind = mixed(f"{backbone.__name__}Classifier", Classifier, backbone, *defaults)
    model: Classifier = kind(architecture, outputs)
    if architecture.adapter_dim:
        add_adapters(model, architecture.adapter_dim)
    return model


def build_model(name: str, num_classes: int, **options: Any) -> Classifier:
    """A freshly initialised classifier with logits (B, num_classes).

    Args:
        name: a backbone in ``BACKBONES``.
        num_classes: K, at least 1.
        **options: fields of ``Architecture``, such as ``head="cosine"``, and of the backbone's
            ``Options``.

    Raises:
        ConfigError: no backbone has this name.
        ValueError: ``num_classes``, ``dropout_rate`` or an option is out of range.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be >= 1, got {num_classes}")
    kind = BACKBONES.get(name).Options
    own = {key: options.pop(key) for key in OWN if key in options}
    architecture = Architecture(name=name, options=kind(**options), **own)
    return build(architecture, Outputs.unnamed(num_classes))
