"""Watches the numbers of training: gradients that are not finite, losses that explode."""

import math
import statistics
from collections import deque
from collections.abc import Iterable

import torch
from rich.console import Console
from torch import nn

from cdb_video import distributed
from cdb_video.engine.train.seen import Look

EXPLOSION = 10
"""Times the median of the losses before it: a loss above is told with its clips."""
REMEMBERED = 101
"""Losses that the median is of."""
ENOUGH = 20
"""Losses before the first may be told."""
A_GUESS = math.log(2)
"""Cross entropy of a guess between two classes: below it no loss has exploded. Where a network has
learnt its clips, or CDB weighs nearly all of them by 0, the median is next to 0, and ten times as
much means nothing."""


class LossWatch:
    """Compares each loss with the median of those before it, on this process."""

    def __init__(self) -> None:
        self._before: deque[float] = deque(maxlen=REMEMBERED)

    def see(self, look: Look, screen: Console) -> None:
        """Tells of each loss that has exploded: the step, the losses, positions of its clips."""
        for step, index, loss in look.losses:
            median = statistics.median(self._before) if len(self._before) >= ENOUGH else loss
            if loss > max(EXPLOSION * median, A_GUESS):
                clips = ", ".join(map(str, index.tolist()))
                screen.print(
                    f"warning: step {step + 1}: the loss is {loss:.4g}, more than {EXPLOSION} "
                    f"times its median {median:.4g}; training clips {clips}"
                )
            self._before.append(loss)


def is_finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether all gradients are: one read from the device; the same on every process."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return bool(distributed.gathered(norm).isfinite())
