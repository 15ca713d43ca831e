"""The recorder: everything that a run shows and writes, and its checks of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import Progress as Bar

from cdb_video.data.batches.batch import Batch
from cdb_video.difficulty import Recalls
from cdb_video.engine.evaluate.quarantine import Quarantine
from cdb_video.engine.record.clock import Clock
from cdb_video.engine.record.log import RunLog
from cdb_video.engine.record.pictures import clip_grid
from cdb_video.engine.train.finite import FiniteCheck
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.plan import Plan, Progress, Step
from cdb_video.engine.train.saving import Checkpoints
from cdb_video.engine.train.seen import Look


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """The parts of a run that show and write."""

    log: RunLog
    clock: Clock
    screen: Console
    quarantine: Quarantine
    checkpoints: Checkpoints
    finite: FiniteCheck

    def batches(self, plan: Plan, progress: Progress) -> Iterator[Batch]:
        """Yields the batches of the epoch after ``progress``; times them and notes bad clips."""
        first = progress.step * plan.accumulation_steps
        batches = plan.train_loader.batches(progress.epoch + 1, first=first)
        for batch in self.clock.waiting(batches):
            yield self.quarantine.see("train", batch)

    def first_clips(self, window: list[Batch], step: Step) -> None:
        """Shows the first clips of the run as the network gets them."""
        if step.total == 0:
            self.log.picture("training clips", 0, partial(clip_grid, window[0].video))

    def look(self, learner: Learner, plan: Plan, window: list[Batch], step: Step) -> Look:
        """Reads the device. Every process must call it.

        Raises:
            TrainingError: a loss is not finite.
        """
        look = learner.seen.look(self.checkpoints.due(), plan.stop.asked)
        self.finite.losses(look, learner, window, step)
        return look

    def tell_step(self, look: Look, learner: Learner, plan: Plan, step: Step, bar: Bar) -> None:
        """Writes a line of the log every LOG_PERIOD steps, and the text of the bar."""
        done = step.total + 1
        if done % plan.log_period == 0:
            rate = learner.learning_rate(step.total)
            self.log.write("train_step", step.epoch, done, loss=look.mean_loss, lr=rate)
        costs = self.clock.line(self.screen.width)
        text = f"epoch {step.epoch}/{plan.max_epoch} loss {look.mean_loss:.3f}, {costs}"
        bar.update(bar.task_ids[0], description=text)

    def save_within(self, learner: Learner, progress: Progress, step: Step) -> None:
        """Saves within an epoch. Every process must call it."""
        self.finite.weights(learner, step)
        self.checkpoints.save_within(learner, progress._replace(step=step.number + 1))

    def end_epoch(self, learner: Learner, step: Step) -> Recalls:
        """Writes the results of an epoch, whose last step was ``step``; returns the recall."""
        self.finite.weights(learner, step)
        self.quarantine.tell("train", step.epoch)
        loss, recalls = learner.seen.take()
        done, rate = step.total + 1, learner.learning_rate(step.total)
        self.log.write("train_epoch", step.epoch, done, loss=loss, lr=rate)
        self.log.facts(done, epoch=step.epoch, **self.clock.numbers())
        return recalls
