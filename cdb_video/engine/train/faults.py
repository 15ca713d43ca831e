"""What a run does about a step whose loss or gradient is not finite."""

import torch

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.engine.train.run import Run
from cdb_video.errors import TrainingError


def buffers_before(run: Run) -> list[torch.Tensor]:
    """The model's buffers, such as statistics of batch norm, where a step may have to be undone."""
    if run.train.on_nan == "stop":
        return []
    return [buffer.clone() for buffer in run.state.model.buffers()]


def skip_step(
    run: Run, epoch: int, step: int, window: list[Batch], buffers: list[torch.Tensor]
) -> None:
    """Leaves a step out whose loss or gradient is not finite.

    Args:
        buffers: of the model, as they were before the step.

    Raises:
        TrainingError: it is one too many in its epoch.
    """
    run.state.seen.drop_step()
    for buffer, before in zip(run.state.model.buffers(), buffers, strict=True):
        buffer.copy_(before)
    clips = torch.cat([batch.index for batch in window]).tolist()
    told = not_finite(run, epoch, [], step, clips, "not finite, or its gradient")
    if run.state.seen.num_skipped > run.train.max_skipped:
        raise TrainingError(f"{told}; more steps of the epoch than TRAIN.MAX_SKIPPED are")
    run.screen.print(f"warning: {told}; the step is skipped")


def not_finite(
    run: Run, epoch: int, window: list[Batch], step: int, clips: list[int], what: str
) -> str:
    """That the loss of ``step`` is not finite, with the paths of ``clips``, if they are here.

    The clips of ``window`` are saved, with the weights before their step, if they are the ones and
    this process has all of the weights.
    """
    records = run.splits["train"].records
    paths = [records[index].path for index in clips]
    where = f"; clips: {', '.join(paths)}" if paths else ""
    here = not distributed.is_sharded(run.state.model)
    if (
        here
        and clips
        and {index for batch in window for index in batch.index.tolist()} >= set(clips)
    ):
        saved = run.checkpoints.save_batch(run.state, epoch, step, window, paths)
        where += f"; cdb-video replay-batch {saved} runs them again"
    return f"epoch {epoch}, step {step + 1}: the loss is {what}{where}"
