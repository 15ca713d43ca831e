"""The base of losses: checks of the input, and the state for reports."""

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from cdb_video.difficulty import ClassState


class Loss(nn.Module):
    """Base of all losses.

    A subclass implements ``compute``. One that learns from results also implements ``observe`` and
    ``class_state`` (``difficulty.Feedback``). All state is in buffers, so that checkpoints save it
    and it moves between devices. A loss draws random numbers in training mode only.

    Args:
        options: the subclass's ``Options``.
        num_classes: K >= 1.
        class_counts: (K,) training samples of each class, or None if unknown.
        defer_epochs: first epochs in which class weights have no effect (deferred re-weighting).
    """

    source: Literal["val", "train"] = "val"
    """The split whose recall ``observe`` is given."""
    accepts_soft_targets: ClassVar[bool] = True
    """Whether targets may be class probabilities; False where a formula needs one true class."""

    class_weights: torch.Tensor
    """(K,) float32, mean 1 over classes: what each class's loss is multiplied with."""
    tau: torch.Tensor
    """() float32: exponent on difficulty in use; 0 where difficulty has no effect."""

    def __init__(
        self,
        options: Any,
        *,
        num_classes: int,
        class_counts: torch.Tensor | None = None,
        defer_epochs: int = 0,
    ) -> None:
        super().__init__()
        if class_counts is not None and tuple(class_counts.shape) != (num_classes,):
            raise ValueError(
                f"class_counts must have shape ({num_classes},), got {tuple(class_counts.shape)}"
            )
        self.options = options
        self.num_classes = num_classes
        self.defer_epochs = defer_epochs
        self.epoch = 1
        self.register_buffer("class_weights", torch.ones(num_classes))
        self.register_buffer("tau", torch.zeros(()))

    @property
    def needs_validation(self) -> bool:
        """Whether the loss needs ``observe`` with validation recall."""
        return False

    def start_epoch(self, epoch: int) -> None:
        """Starts the training epoch ``epoch``, from 1."""
        # Not a buffer: training sets it again after resuming.
        self.epoch = epoch

    def weights_in(self, epoch: int) -> torch.Tensor:
        """(K,) class weights in ``epoch``: all 1 in the first ``defer_epochs``."""
        if epoch <= self.defer_epochs:
            return torch.ones_like(self.class_weights)
        return self.class_weights

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The scalar loss of a batch, in float32 also for half-precision logits.

        Args:
            logits: (B, K) float, B >= 1.
            target: (B,) int64 class ids in [0, K), or (B, K) float class probabilities.

        Raises:
            ValueError: wrong shapes or types.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes or len(logits) == 0:
            raise ValueError(
                f"logits must be (B, {self.num_classes}) with B >= 1, got {tuple(logits.shape)}"
            )
        soft = target.is_floating_point()
        if soft and not self.accepts_soft_targets:
            raise ValueError(
                f"{type(self).__name__} needs class ids (B,) as target, got class probabilities "
                f"{tuple(target.shape)}"
            )
        expected = tuple(logits.shape) if soft else (len(logits),)
        if tuple(target.shape) != expected:
            raise ValueError(f"target must have shape {expected}, got {tuple(target.shape)}")
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        if soft:
            target = target.to(logits.dtype)
        return self.compute(logits, target, self.weights_in(self.epoch))

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """The loss of checked input.

        Args:
            logits, target: as for ``forward``.
            weights: (K,) factors of each class's loss in this epoch; all 1 while weighting is
                deferred.
        """
        raise NotImplementedError

    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Takes the newest result on ``source``. Most losses ignore it.

        Args:
            recall: (K,) in [0, 1]. The value of a class without samples is ignored.
            counts: (K,) number of samples of each class.
        """

    def class_state(self, epoch: int) -> ClassState | None:
        """Difficulties, weights and tau of ``epoch``; None for a loss without difficulties."""
        return None
