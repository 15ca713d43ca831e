"""Which stage of a classifier a tensor belongs to: what is frozen, decayed and checkpointed by."""

from torch import nn

from cdb_video.models.weights.fit import HEAD


def num_stages(model: nn.Module) -> int:
    """S, the stages of the backbone; a network that states none is one."""
    return len(getattr(model, "stages", ())) or 1


def stage_of(model: nn.Module, name: str) -> int:
    """The stage, in [0, S), of the parameter or submodule ``name``; S for the classifier's."""
    if f"{name}.".startswith(HEAD):
        return num_stages(model)
    for stage, parts in enumerate(getattr(model, "stages", ())):
        if any(f"{name}.".startswith(f"{part}.") for part in parts):
            return stage
    return 0
