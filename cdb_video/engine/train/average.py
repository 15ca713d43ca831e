"""The exponential moving average of a model's weights."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cdb_video.distributed import own
from cdb_video.models import Classifier


class WeightAverage:
    """Follows ``trained`` from its first step on: ``average = decay * average + (1 - decay) * w``.

    Floating-point buffers, such as batch-norm statistics, are averaged like weights, because they
    belong to them. Other buffers are copied.

    Args:
        trained: the model that the optimiser trains.
        decay: in [0, 1); 0 means no average.
    """

    def __init__(self, trained: Classifier, decay: float) -> None:
        self._trained = trained
        self._averaged: AveragedModel | None = None
        if decay:
            move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

            def average(
                averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int
            ) -> None:
                # Integers must not be averaged: 0.9 * 3 + 0.1 * 3 would become 2.
                if averages[0].is_floating_point():
                    # Weights may be sharded. Buffers never are.
                    move(list(map(own, averages)), list(map(own, values)), count)
                else:
                    for mean, value in zip(averages, values, strict=True):
                        mean.copy_(value)

            self._averaged = AveragedModel(trained, multi_avg_fn=average, use_buffers=True)

    @property
    def model(self) -> Classifier:
        """The model to validate, test and save: the average, or else the trained model."""
        averaged: Any = self._averaged
        return self._trained if averaged is None else averaged.module

    def update(self) -> None:
        """Updates the average after an optimiser step."""
        if self._averaged is not None:
            self._averaged.update_parameters(self._trained)

    def own_buffers(self) -> dict[str, Tensor]:
        """The averaged batch-norm statistics, which differ between processes within an epoch."""
        if self._averaged is None:
            return {}
        return {name: buffer.cpu() for name, buffer in self._averaged.module.named_buffers()}

    def load_own_buffers(self, buffers: dict[str, Tensor]) -> None:
        """Restores the buffers of ``own_buffers``."""
        if self._averaged is not None:
            for name, buffer in self._averaged.module.named_buffers():
                buffer.copy_(buffers[name])

    def state_dict(self) -> dict[str, Any]:
        """The average and the weights behind it; empty without an average."""
        if self._averaged is None:
            return {}
        return {"averaged": self._averaged.state_dict(), "trained": self._trained.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of ``state_dict``, in the trained model, too."""
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])
            self._trained.load_state_dict(state["trained"])
