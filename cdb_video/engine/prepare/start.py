"""Builds the model that a run starts from: its own checkpoint, given weights, or fresh ones."""

import torch
from rich.console import Console

from cdb_video import distributed
from cdb_video.engine.prepare.class_means import set_head_to_class_means
from cdb_video.engine.prepare.data import clips_a_pass
from cdb_video.engine.prepare.model import new_model
from cdb_video.engine.prepare.normalisation import set_normalisation
from cdb_video.engine.prepare.precision import choose_precision
from cdb_video.engine.prepare.task import Task
from cdb_video.engine.prepare.tuning import set_up_tuning
from cdb_video.models import Checkpoint, Classifier, locate
from cdb_video.options import Config


def starting_model(
    config: Config,
    task: Task,
    latest: Checkpoint | None,
    device: torch.device,
    screen: Console,
) -> Classifier:
    """The model with the weights of MODEL.PRETRAINED, or fresh ones, ready to train.

    ``restore`` later loads the tensors of ``latest`` with the rest of the run.
    """
    model = new_model(config, task.outputs, device)
    source = latest or fetch(config.model.pretrained)
    set_normalisation(model, config.data, source, screen, strict=latest is not None)
    if source and not latest:
        others = source.class_names not in (None, task.outputs.class_names)
        if others:
            screen.print(f"the classifier starts fresh: {source.path} is of other classes")
        fraction = config.model.pretrained_min_fraction
        screen.print(str(source.fit_into(model, fraction, with_head=not others)))
    if config.model.head_init == "class_means" and not latest:
        set_head_to_class_means(model, config, task.splits, device, screen)
    set_up_tuning(config.model, config.rng_seed, model)
    if config.train.precision == "auto":
        clips = (clips_a_pass(config), config.data.num_frames, config.data.crop_size)
        model.set_precision(choose_precision(model, clips, latest, screen))
    return model


def fetch(source: str) -> Checkpoint | None:
    """The source in MODEL.PRETRAINED. One process of a machine downloads it for all."""
    if not source:
        return None
    path = locate(source) if distributed.local_rank() == 0 else None
    distributed.barrier()
    return Checkpoint.read(path or locate(source))
