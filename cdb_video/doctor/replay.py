"""Repeats a step whose loss was not finite, and finds the first bad module."""

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from cdb_video.engine.train.learner import seed_step
from cdb_video.errors import CheckpointError
from cdb_video.models import Checkpoint
from cdb_video.models.joint import joint_logits


class Replayed(NamedTuple):
    """One clip of the step."""

    path: str
    label: str
    loss: float
    """Cross entropy, without class weights."""
    weight: float
    """Of its class in the loss of the run."""
    largest_logit: float


class Replay(NamedTuple):
    """The result of a repeated step."""

    epoch: int
    step: int
    """From 1, in its epoch."""
    clips: list[Replayed]
    first_module: str | None
    """The first module whose output is not finite; None where all are."""
    first_gradient: str | None
    """The first parameter whose gradient is not finite; None where all are."""


def replay(path: Path) -> Replay:
    """Repeats the batch that a run saved in ``path``, on the CPU in float32.

    Raises:
        CheckpointError: the file holds no such batch.
    """
    checkpoint = Checkpoint.read(path, training=True)
    content: Any = checkpoint.training or {}
    if "batches" not in content:
        raise CheckpointError(f"{path} must be the bad batch of a run, got another checkpoint")
    model = checkpoint.open(precision="fp32").train()
    seed_step(checkpoint.config.get("RNG_SEED", 0), content["epoch"], content["step"])
    first = _first_not_finite(model)
    clips: list[Replayed] = []
    names = checkpoint.class_names or []
    paths = iter(content["paths"])
    for video, label, _ in content["batches"]:
        logits = joint_logits(model(video), model.outputs)
        losses = nn.functional.cross_entropy(logits, label, reduction="none")
        losses.mean().backward()  # type: ignore[no-untyped-call]
        for row, one, c in zip(logits.detach(), losses.tolist(), label.tolist(), strict=True):
            weight = float(content["class_weights"][c])
            clips.append(Replayed(next(paths), names[c], one, weight, float(row.abs().max())))
    gradient = next(
        (
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is not None and not parameter.grad.isfinite().all()
        ),
        None,
    )
    step = content["step"] + 1
    return Replay(content["epoch"], step, clips, first[0] if first else None, gradient)


def _first_not_finite(model: nn.Module) -> list[str]:
    """A list that collects the names of modules whose outputs are not finite."""
    found: list[str] = []

    def hook(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return look

    for name, module in model.named_modules():
        module.register_forward_hook(hook(name or type(module).__name__))
    return found
