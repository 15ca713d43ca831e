"""The stages of a classifier, for freezing, layer decay and activation checkpointing."""

from collections.abc import Iterator

from torch import nn

from cdb_video.models.weights.fit import HEAD


def num_stages(model: nn.Module) -> int:
    """S, the number of stages of the backbone; 1 if it states none."""
    return len(getattr(model, "stages", ())) or 1


def stage_of(model: nn.Module, name: str) -> int:
    """The stage, in [0, S), of the parameter or submodule ``name``; S for the classifier's."""
    if f"{name}.".startswith(HEAD):
        return num_stages(model)
    for stage, parts in enumerate(getattr(model, "stages", ())):
        if any(f"{name}.".startswith(f"{part}.") for part in parts):
            return stage
    return 0


def stage_units(model: nn.Module) -> Iterator[nn.Module]:
    """The stages of a backbone as modules. A sequence of blocks gives its blocks.

    A part without submodules, such as a convolution, is left out.
    """
    modules = dict(model.named_modules())
    stages = getattr(model, "stages", ()) or (tuple(name for name, _ in model.named_children()),)
    for part in (modules[name] for stage in stages for name in stage if name in modules):
        is_sequence = isinstance(part, (nn.Sequential, nn.ModuleList))
        for unit in part.children() if is_sequence else [part]:
            if next(unit.children(), None) is not None:
                yield unit
