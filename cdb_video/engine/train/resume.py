"""Resumes a run from its checkpoints."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from torch.optim import Optimizer

from cdb_video import distributed
from cdb_video.config.yaml_text import parse_yaml
from cdb_video.data.lists.facts import changes
from cdb_video.engine.train.learner import Learner
from cdb_video.engine.train.plan import Progress
from cdb_video.engine.train.saving import Identity
from cdb_video.errors import CheckpointError, DataError
from cdb_video.models import Checkpoint
from cdb_video.output.list_facts import read_list_facts
from cdb_video.output.run_folder import RunFolder
from cdb_video.system.files import point

ADVICE = "choose another OUTPUT_DIR, or start anew with TRAIN.AUTO_RESUME false"


def newest(
    folder: RunFolder, identity: Identity, free: Collection[str], screen: Console
) -> Checkpoint | None:
    """The checkpoint that the run resumes from; None if there is none.

    A damaged one is reported, and the one before it is taken.

    Args:
        free: keys of options that may differ from the checkpoint's.

    Raises:
        CheckpointError: none can be read, or its run has other options.
    """
    epochs = folder.epoch_checkpoints()[::-1]
    paths = [folder.latest] if folder.latest.exists() else []
    # At the end of an epoch, latest.pt and the epoch's checkpoint are the same.
    paths += [path for path in epochs if not (paths and os.path.samefile(path, paths[0]))]
    faults = []
    for path in paths:
        try:
            checkpoint = _read(path)
        except CheckpointError as error:
            faults.append(str(error))
            screen.print(f"warning: {error}; trying the checkpoint before it")
            continue
        _check_same_run(checkpoint, identity, free)
        if path != folder.latest:
            screen.print(f"warning: resuming from {path}, since {folder.latest} cannot be read")
        return checkpoint
    if faults:
        raise CheckpointError(
            f"none of {len(faults)} checkpoints can be read: {faults[0]}; {ADVICE}"
        )
    return None


def _read(path: Path) -> Checkpoint:
    checkpoint = Checkpoint.read(path, training=True)
    content = checkpoint.training or {}
    numbers = [content.get("epoch"), content.get("step", 0)]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise CheckpointError(f"{path} must say how far its run was, got {numbers}")
    best = content.get("best")
    if not (best is None or isinstance(best, float)):
        raise CheckpointError(f"{path}: best must be a number or nothing, got {best!r:.50}")
    return checkpoint


def _check_same_run(checkpoint: Checkpoint, identity: Identity, free: Collection[str]) -> None:
    path = checkpoint.path
    if checkpoint.class_names != identity.outputs.class_names:
        raise CheckpointError(f"{path} is of a run with other classes; {ADVICE}")
    before = _leaves(checkpoint.config)
    now = _leaves(parse_yaml(identity.config))
    # An option on one side only comes from another version, or from another NAME.
    for key in sorted(before.keys() & now.keys()):
        # A data set may have moved.
        if key in free or key.endswith(".ROOT"):
            continue
        if before.get(key) != now.get(key):
            raise CheckpointError(
                f"{path} is of a run with {key} {before.get(key)}, got {now.get(key)}; {ADVICE}"
            )


def check_lists(folder: RunFolder, lists: Mapping[str, Any]) -> None:
    """Raises ``DataError`` where the lists of a run are others than when it began."""
    if told := changes(read_list_facts(folder.lists), lists):
        raise DataError(
            f"the run in {folder.path} was made of other lists: {'; '.join(told)}. "
            f"TRAIN.CHANGED_LISTS accept goes on with the new ones; or {ADVICE}"
        )


def go_on(learner: Learner, latest: Checkpoint, folder: RunFolder, screen: Console) -> Progress:
    """Restores ``learner`` from ``latest``, and ``best.pt``, on every process.

    Raises:
        CheckpointError: it does not fit.
    """
    progress = recover_best(folder, restore(learner, latest), screen)
    before, now = (latest.training or {}).get("world_size"), distributed.world_size()
    if before not in (None, now):
        screen.print(
            f"{now} processes resume a run of {before}. The clips of each step stay the same. "
            "Rounding and the network's random numbers differ."
        )
    return progress


def restore(learner: Learner, checkpoint: Checkpoint) -> Progress:
    """Restores ``learner`` from ``checkpoint``.

    Raises:
        CheckpointError: it does not fit.
    """
    content: Mapping[str, Any] = checkpoint.training or {}
    try:
        model, average = learner.model.state_dict(), learner.average.state_dict()
        own = content.get("tuned_state") or content["model_state"]
        learner.model.load_state_dict(distributed.parted(own, model))
        learner.average.load_state_dict(distributed.parted(content["average_state"], average))
        learner.optimizer.load_state_dict(_parted(content["optimizer_state"], learner.optimizer))
        learner.losses.load_state_dict(content["loss_state"])
        learner.sampler.load_state_dict(content["sampler_state"])
        learner.mixer.load_state_dict(content.get("mixer_state", {}))
        learner.scaler.load_state_dict(content.get("scaler_state", {}))
        processes = content.get("processes", [])
        if len(processes) == distributed.world_size():
            own = processes[distributed.rank()]
            learner.seen.load_state_dict(own["seen"])
            learner.average.load_own_buffers(own["averaged"])
        elif distributed.is_main():
            learner.seen.load_sum([own["seen"] for own in processes])
        return Progress(content["epoch"], content.get("step", 0), content["best"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{checkpoint.path} does not fit this run: {reason}") from None


def _parted(saved: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """The state of an optimiser, sharded like its parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = {
        # Scalars, such as the number of steps, are not sharded.
        i: {key: distributed.parted(v, parameters[i] if v.ndim else None) for key, v in own.items()}
        for i, own in saved["state"].items()
    }
    return {**saved, "state": states}


def recover_best(folder: RunFolder, progress: Progress, screen: Console) -> Progress:
    """``progress`` with a best that is in ``best.pt``, which is restored if it is missing.

    Every process must call it. If no checkpoint holds the best, the next validation is the best.
    """
    lost = False
    if distributed.is_main() and progress.best is not None and not folder.best.exists():
        holder = _holder(folder, progress.best)
        lost = holder is None
        if holder is not None:
            point(folder.best, holder)
        outcome = f"{holder.name} is it" if holder else "the next validation makes it"
        screen.print(f"warning: {folder.best} was missing; {outcome}")
    return progress._replace(best=None) if distributed.anywhere(lost) else progress


def _holder(folder: RunFolder, best: float) -> Path | None:
    """The checkpoint of the epoch that reached ``best``; None if unknown."""
    before = 0
    for path in folder.epoch_checkpoints():
        try:
            content = Checkpoint.read(path, training=True).training or {}
        except CheckpointError:
            continue
        # Later checkpoints have the same best, so the one before must have another.
        if content.get("best") == best:
            return path if content.get("epoch") == before + 1 else None
        before = content.get("epoch", 0)
    return None


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves
