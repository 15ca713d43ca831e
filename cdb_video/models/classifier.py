"""Owns the step from a backbone's features to class logits."""

from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdb_video.models.backbone import Backbone
from cdb_video.registry import BACKBONES

Self = TypeVar("Self", bound="Classifier")


class CosineHead(nn.Linear):
    """Cosines between features and class weights, in [-1, 1], as LDAM's scale expects them."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> logits (B, K)."""
        return functional.linear(functional.normalize(features), functional.normalize(self.weight))


HEADS = {"linear": nn.Linear, "cosine": CosineHead}


class Classifier(nn.Module):
    """Dropout and a linear head ``fc``, mixed into a backbone class by ``build_model``.

    Head and backbone are one module, not one inside the other, so that parameters keep the
    names of public checkpoints (``conv1.weight`` ... ``fc.bias``) without any renaming.
    """

    num_features: int

    def __init__(self, options: Any, num_classes: int, dropout_rate: float, head: str) -> None:
        super().__init__(options)
        for name in ("dropout", "fc"):
            if hasattr(self, name):
                raise TypeError(f"{type(self).__name__}: {name!r} is the head's name, rename it")
        self.dropout = nn.Dropout(dropout_rate)
        self.fc = HEADS[head](self.num_features, num_classes)

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """As in ``nn.Module``, but ``channels_last_3d`` is ``channels_last`` to 2D convolutions."""
        if kwargs.get("memory_format") is torch.channels_last_3d:
            del kwargs["memory_format"]
            layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
            for weight in self.parameters():
                if weight.ndim in layouts:
                    weight.data = weight.data.contiguous(memory_format=layouts[weight.ndim])
        return super().to(*args, **kwargs)

    def forward(self, video: Tensor) -> Tensor:
        """Logits (B, num_classes) of float clips (B, 3, T, H, W).

        Raises:
            ValueError: ``video`` has another rank, channel count or an integer type.
        """
        if video.ndim != 5 or video.shape[1] != 3 or not video.is_floating_point():
            kind = str(video.dtype).removeprefix("torch.")
            raise ValueError(f"video must be float (B, 3, T, H, W), got {kind} {(*video.shape,)}")
        logits: Tensor = self.fc(self.dropout(super().forward(video)))
        return logits


def build_model(
    name: str,
    num_classes: int,
    *,
    dropout_rate: float = 0.0,
    head: Literal["linear", "cosine"] = "linear",
    **options: Any,
) -> Classifier:
    """A freshly initialised classifier.

    Args:
        name: a backbone in ``BACKBONES``.
        num_classes: K, at least 1; the model gives logits (B, K).
        dropout_rate: share of features set to zero before the head in training, [0, 1].
        head: "linear", or "cosine" for logits in [-1, 1].
        **options: fields of the backbone's ``Options``.

    Raises:
        ConfigError: no backbone has this name.
        ValueError: ``num_classes``, ``dropout_rate`` or an option is out of range.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be >= 1, got {num_classes}")
    backbone = BACKBONES.get(name)
    defaults = () if issubclass(backbone, Backbone) else (Backbone,)
    kind = type(f"{backbone.__name__}Classifier", (Classifier, backbone, *defaults), {})
    model: Classifier = kind(backbone.Options(**options), num_classes, dropout_rate, head)
    return model
