"""Handles numbers that are not finite, and exploding losses."""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

import torch
from rich.console import Console
from torch import nn

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.data.lists.records import Record
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.plan import Step
from cdb_video.engine.train.saving import Checkpoints
from cdb_video.engine.train.seen import Look
from cdb_video.errors import TrainingError
from cdb_video.sections import Train

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


class FiniteCheck:
    """Checks losses, gradients and weights. Stops the run, or skips a step.

    Args:
        options: TRAIN.ON_NAN and TRAIN.MAX_SKIPPED.
        records: of the training split, for messages.
        checkpoints: saves the clips of a step.
        screen: for warnings.
    """

    def __init__(
        self,
        options: Train,
        records: Sequence[Record],
        checkpoints: Checkpoints,
        screen: Console,
    ) -> None:
        self._skips, self._max_skipped = options.on_nan == "skip", options.max_skipped
        self._records, self._checkpoints, self._screen = records, checkpoints, screen
        self._losses: deque[float] = deque(maxlen=REMEMBERED)

    def gradient(self, learner: Learner, window: list[Batch], step: Step) -> bool:
        """Computes the gradient of a step; returns whether it may be used.

        Raises:
            TrainingError: its loss or gradient is not finite, and too many in its epoch were not.
        """
        buffers = [one.clone() for one in learner.model.buffers()] if self._skips else []
        learner.gradient(window, step)
        # The scaler of fp16 skips overflowing steps by itself.
        decides = self._skips and not learner.scaler.is_enabled()
        if not decides or _all_finite(learner.network.parameters()):
            learner.seen.end_step()
            return True
        learner.seen.drop_step()
        for buffer, before in zip(learner.model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        clips = torch.cat([batch.index for batch in window]).tolist()
        told = f"{self._place(step, 'not finite, or its gradient')}{self._named(clips)}"
        if learner.seen.num_skipped > self._max_skipped:
            raise TrainingError(f"{told}; more steps of the epoch than TRAIN.MAX_SKIPPED are")
        self._screen.print(f"warning: {told}; the step is skipped")
        return False

    def losses(self, look: Look, learner: Learner, window: list[Batch], step: Step) -> None:
        """Reports exploded losses, with the positions of their clips.

        If the loss of ``window`` is not finite and this process has all weights, its clips are
        saved with the weights before the step.

        Raises:
            TrainingError: a loss is not finite, here or in another process.
        """
        if not look.broken:
            self._tell_explosions(look)
            return
        for total, index, loss in look.losses:
            if not math.isfinite(loss):
                clips = index.tolist()
                where = self._named(clips)
                held = {place for batch in window for place in batch.index.tolist()}
                if held >= {*clips} and not distributed.is_sharded(learner.model):
                    paths = [self._records[place].path for place in clips]
                    saved = self._checkpoints.save_batch(learner, step, window, paths)
                    where += f"; cdb-video replay-batch {saved} runs them again"
                number = step.number - (step.total - total)
                told = self._place(step._replace(number=number), str(loss))
                raise TrainingError(told + where)
        raise TrainingError(self._place(step, "not finite on another process"))

    def _tell_explosions(self, look: Look) -> None:
        for total, index, loss in look.losses:
            before = self._losses
            median = statistics.median(before) if len(before) >= ENOUGH else loss
            if loss > max(EXPLOSION * median, A_GUESS):
                clips = ", ".join(map(str, index.tolist()))
                self._screen.print(
                    f"warning: step {total + 1}: the loss is {loss:.4g}, more than {EXPLOSION} "
                    f"times its median {median:.4g}; training clips {clips}"
                )
            before.append(loss)

    def weights(self, learner: Learner, step: Step) -> None:
        """Raises ``TrainingError`` if a weight or a statistic of the model is not finite.

        Every process must call it, and all raise.
        """
        # Without an average both are the same model. Each check reads the device once.
        for model in dict.fromkeys((learner.model, learner.average.model)):
            tensors = model.state_dict()
            found = [~distributed.own(tensor).isfinite().all() for tensor in tensors.values()]
            # Each process has checked its share of a sharded model.
            faults = distributed.sum_(torch.stack(found).float()).tolist()
            if any(faults):
                name = list(tensors)[next(i for i, fault in enumerate(faults) if fault)]
                raise TrainingError(
                    f"epoch {step.epoch}, step {step.number + 1}: {name} is not finite, the "
                    "weights have overflowed; this state is not saved, and earlier checkpoints are "
                    "unchanged"
                )

    def _place(self, step: Step, what: str) -> str:
        return f"epoch {step.epoch}, step {step.number + 1}: the loss is {what}"

    def _named(self, clips: list[int]) -> str:
        paths = ", ".join(self._records[place].path for place in clips)
        return f"; clips: {paths}" if paths else ""


def _all_finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether all gradients are finite, on all processes. Reads the device once."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return bool(distributed.gathered(norm).isfinite())
