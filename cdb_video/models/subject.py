"""The networks that the checks of the contract use."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cdb_video.errors import CdbVideoError
from cdb_video.models.classifier import build_model
from cdb_video.registry import BACKBONES

NUM_CLASSES = 5


class ContractError(CdbVideoError):
    """A backbone breaks its contract. The message says how, in one line."""


class Subject:
    """Builds networks of one backbone, equal for equal seeds, and random clips.

    Args:
        name: a backbone in ``BACKBONES``.
        options: fields of its ``Options``.
        num_frames: T of clips, and ``size``, their H and W, where a check does not choose others.
            A backbone with ``fixed_input`` gets those of its ``input_format`` everywhere.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], num_frames: int = 8, size: int = 32
    ) -> None:
        self.name, self.options = name, options
        model = self.model()
        self.fixed_input: bool = model.fixed_input
        if self.fixed_input:
            num_frames, size = model.input_format[:2]
        self.num_frames, self.size = num_frames, size

    def backbone(self) -> Any:
        """A network without a head."""
        kind = BACKBONES.get(self.name)
        return kind(kind.Options(**self.options))

    def model(self, seed: int = 0) -> Any:
        """A classifier of ``NUM_CLASSES`` classes."""
        torch.manual_seed(seed)
        return build_model(self.name, NUM_CLASSES, **self.options)

    def clips(self, batch: int, shape: tuple[int, int, int] | None = None, seed: int = 1) -> Tensor:
        """(batch, 3, T, H, W), standard normal; ``shape`` is another (T, H, W)."""
        shape = shape or (self.num_frames, self.size, self.size)
        return torch.randn(batch, 3, *shape, generator=torch.Generator().manual_seed(seed))
