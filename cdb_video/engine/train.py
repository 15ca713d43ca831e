"""Trains a model: the whole loop, in reading order."""

from contextlib import nullcontext

import numpy as np
import torch
from rich.progress import Progress as Bar
from torch import nn

from cdb_video import distributed
from cdb_video.data.batch import Batch
from cdb_video.engine import parts
from cdb_video.engine.checkpoint import Progress
from cdb_video.engine.evaluate import evaluate
from cdb_video.engine.log import progress_bar
from cdb_video.engine.run import Run, prepare
from cdb_video.engine.statistics import merge_statistics, precise_statistics
from cdb_video.errors import TrainingError
from cdb_video.options import Config


def train(config: Config) -> None:
    """Trains as ``config`` says and leaves the run in OUTPUT_DIR.

    Goes on where an earlier call stopped (TRAIN.AUTO_RESUME). Under torchrun every process calls
    this.

    Raises:
        CdbVideoError: options, data or a checkpoint are wrong, or the loss is not finite.
    """
    device = parts.choose_device(config)
    with distributed.process_group(device):
        fit(prepare(config, device))


def fit(run: Run) -> None:
    """The epochs: train, validate, let loss and sampler observe, save."""
    config, progress = run.config, run.progress
    model = distributed.wrap(run.state.model, run.device)
    last = config.solver.max_epoch
    with progress_bar(run.screen) as bar:
        done = progress.epoch * run.steps_per_epoch
        bar.add_task("training", total=run.learning_rate.num_steps, completed=done)
        for epoch in range(progress.epoch + 1, last + 1):
            train_one_epoch(run, model, epoch, bar)
            score = None
            if epoch == last or epoch % (config.train.eval_period or 1) == 0:
                score = validate(run, epoch)
            is_best = score is not None and (progress.best is None or score > progress.best)
            progress = Progress(epoch, score if is_best else progress.best)
            keep = epoch == last or epoch % config.train.checkpoint_period == 0
            if distributed.is_main():
                run.checkpoints.save(run.state, progress, keep=keep, best=is_best)
            distributed.barrier()
    run.log.close()


def train_one_epoch(run: Run, model: nn.Module, epoch: int, bar: Bar) -> None:
    """One pass over the training clips, an optimiser step for each TRAIN.BATCH_SIZE of them."""
    config, optimizer = run.config, run.state.optimizer
    # Derived from the epoch, not carried along: a resumed run draws what the first would have.
    seed = np.random.SeedSequence([config.rng_seed, epoch, distributed.rank()])
    torch.manual_seed(int(seed.generate_state(1)[0]))
    model.train()
    run.state.loss.start_epoch(epoch)
    sums = torch.zeros(2, dtype=torch.float64, device=run.device)  # loss x clips, clips
    step = (epoch - 1) * run.steps_per_epoch
    window: list[Batch] = []
    for position, batch in enumerate(run.train_loader.batches(epoch), start=1):
        window.append(batch)
        if len(window) < config.solver.accumulation_steps and position < len(run.train_loader):
            continue
        lr = run.learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        sums += accumulate_gradient(run, model, window, epoch, step)
        if config.solver.clip_grad_l2norm:
            nn.utils.clip_grad_norm_(model.parameters(), config.solver.clip_grad_l2norm)
        optimizer.step()
        optimizer.zero_grad()
        run.state.average.update()
        window, step = [], step + 1
        mean = sums[0] / sums[1]
        if step % config.log_period == 0:
            run.log.write("train_step", epoch, step, loss=float(mean), lr=lr)
        bar.update(
            bar.task_ids[0],
            completed=step,
            description=f"epoch {epoch}/{config.solver.max_epoch} loss {float(mean):.3f}",
        )
    loss, num_clips = distributed.sum_(sums).tolist()
    run.log.write("train_epoch", epoch, step, loss=loss / num_clips, lr=lr)
    run.state.loss.observe_training(*run.training_recall.take())
    merge_statistics(run.state.average.model)


def accumulate_gradient(
    run: Run, model: nn.Module, window: list[Batch], epoch: int, step: int
) -> torch.Tensor:
    """Adds up the gradient of the mean loss over the clips in ``window``.

    Returns:
        (2,) float64: the sum of the clips' losses, and their number.
    """
    num_clips = sum(len(part.label) for part in window)
    total = torch.zeros((), dtype=torch.float64, device=run.device)
    for part in window:
        batch = part.to(run.device)
        is_last = part is window[-1]
        with nullcontext() if is_last else distributed.no_sync(model):
            logits = parts.forward(model, batch, run.config)
            loss = run.state.loss(logits, batch.label)
            check_finite(run, loss, batch, epoch, step)
            (loss * (len(batch.label) / num_clips)).backward()
        total += loss.detach() * len(batch.label)
        run.training_recall.add(logits, batch.label)
    return torch.stack([total, total.new_tensor(num_clips)])


def check_finite(run: Run, loss: torch.Tensor, batch: Batch, epoch: int, step: int) -> None:
    """Stops every process, before the optimiser step, if the loss of one is not finite."""
    is_finite = bool(torch.isfinite(loss))
    if not distributed.any_true(not is_finite, run.device):
        return
    records = run.clips.records["train"]
    paths = ", ".join(records[index].path for index in batch.index.tolist())
    what = f"{loss.item()}; clips: {paths}" if not is_finite else "not finite on another process"
    raise TrainingError(f"epoch {epoch}, step {step + 1}: the loss is {what}")


def validate(run: Run, epoch: int) -> float:
    """Evaluates the validation split and hands its recall to loss and sampler.

    Returns:
        TRAIN.BEST_METRIC; without validation the epoch, so that the newest is the best.
    """
    config, clips, state = run.config, run.clips, run.state
    names = clips.class_names
    if run.val_loader is None:
        none = torch.zeros(len(names))
        run.log.write_difficulty(epoch, clips, state.loss, state.sampler, none, none)
        return float(epoch)
    labels = [record.label for record in clips.records["val"]]
    model = state.average.model
    if config.bn.use_precise_stats:
        precise_statistics(model, run.train_loader, epoch, config)
    result = evaluate(model, run.val_loader, labels, len(names), config)
    metrics = result.metrics(names, run.groups, config.test.group_names)
    recall, counts = result.recall()
    state.loss.observe(recall, counts)
    state.sampler.observe(recall, counts)
    run.log.write("val", epoch, epoch * run.steps_per_epoch, loss=result.loss, **metrics)
    run.log.write_difficulty(epoch, clips, state.loss, state.sampler, recall, counts)
    run.screen.print(
        f"epoch {epoch}: validation loss {result.loss:.3f}, top-1 {100 * metrics['top1']:.1f} %, "
        f"mean class recall {100 * metrics['mean_class_recall']:.1f} %"
    )
    return float(metrics[config.train.best_metric])
