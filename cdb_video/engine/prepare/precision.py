"""Chooses the precision of TRAIN.PRECISION auto."""

import copy
from math import inf

import torch
from rich.console import Console

from cdb_video import distributed
from cdb_video.models import Checkpoint, Classifier
from cdb_video.models.cost import time_steps

CHOICES = {"cpu": ("fp32", "bf16"), "cuda": ("tf32", "bf16", "fp16")}
"""Device -> what auto chooses among; the first unless another is faster."""
GAIN = 1.05
"""By which another must be faster."""
MOST_CLIPS = {"cpu": 4, "cuda": 64}
"""Of a step that is timed: on a CPU whole batches would take minutes."""


def choose_precision(
    model: Classifier,
    clips: tuple[int, int, int],
    latest: Checkpoint | None,
    screen: Console,
) -> str:
    """The precision of TRAIN.PRECISION auto: the one with the fastest training step.

    Args:
        model: ready to train, on its device. It does not change.
        clips: clips of a step of this process, frames, and the frames' side in pixels.
        latest: the checkpoint of a resumed run, which keeps its choice.

    Returns:
        fp32, tf32, bf16 or fp16; the same for all processes.
    """
    if latest is not None:
        return latest.precision
    device = next(model.parameters()).device
    chosen = ""
    if distributed.is_main():
        seconds = _step_seconds(model, clips, device)
        first = CHOICES[device.type][0]
        rivals = {name: seconds[name] * GAIN for name in seconds if name != first}
        fastest = min(rivals, key=lambda name: rivals[name], default=first)
        chosen = fastest if rivals.get(fastest, inf) < seconds.get(first, inf) else first
        times = ", ".join(f"{name} {1000 * value:,.0f} ms" for name, value in seconds.items())
        num = min(clips[0], MOST_CLIPS[device.type])
        screen.print(f"TRAIN.PRECISION auto is {chosen}: {times} for a step of {num} clips")
    return next(str(name) for name in distributed.gather(chosen) if name)


def _step_seconds(
    model: Classifier, clips: tuple[int, int, int], device: torch.device
) -> dict[str, float]:
    """The shortest step time of each precision that keeps the weights finite."""
    num, frames, side = min(clips[0], MOST_CLIPS[device.type]), *clips[1:]
    video = torch.randint(0, 256, (num, 3, frames, side, side), dtype=torch.uint8, device=device)
    seconds = {}
    for name in CHOICES[device.type]:
        copied = copy.deepcopy(model)
        copied.set_precision(name)
        shortest = min(time_steps(copied, video))
        # The scaler of fp16 first has to find a scale with finite gradients.
        if name == "fp16" or all(bool(p.isfinite().all()) for p in copied.parameters()):
            seconds[name] = shortest
    return seconds
