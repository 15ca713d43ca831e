"""Light tuning: trains a few added parameters; those of the pretrained network stay."""

import re
from typing import Literal

import torch
from torch import Tensor, nn

from cdb_video.errors import ConfigError
from cdb_video.models.mixed import mixed
from cdb_video.models.tuning.stages import stage_units
from cdb_video.models.weights.fit import HEAD

ATTENTION = re.compile(r"(^|[._])(attn|attention|qkv|q|k|v|query|key|value)([._]|$)")
"""In the names of linear layers that are of an attention."""
NAME = "default"
"""Of the one adapter that ``peft`` keeps in a layer."""


class Adapted(nn.Module):
    """Mixed into a linear layer's class: adds a bottleneck on its output.

    ``y + up(gelu(down(y)))``, as after the MLP of a block in Houlsby et al. ("Parameter-Efficient
    Transfer Learning for NLP", ICML 2019). ``up`` starts at zero, so nothing changes at first.
    """

    down: nn.Linear
    up: nn.Linear

    def forward(self, inputs: Tensor) -> Tensor:
        """The adapted output of the layer."""
        outputs: Tensor = super().forward(inputs)
        change: Tensor = self.up(nn.functional.gelu(self.down(outputs)))
        return outputs + change


def add_adapters(model: nn.Module, width: int) -> None:
    """Gives the last linear layer of each block of the backbone an adapter.

    Args:
        width: of the bottleneck, >= 1.

    Raises:
        ConfigError: no block of the backbone has a linear layer.
    """
    for unit in stage_units(model):
        linear = [part for part in unit.modules() if isinstance(part, nn.Linear)]
        if linear:
            last = linear[-1]
            last.__class__ = mixed(f"Adapted{type(last).__name__}", Adapted, type(last))
            last.down = nn.Linear(last.out_features, width)
            last.up = nn.Linear(width, last.out_features)
            nn.init.zeros_(last.up.weight)
            nn.init.zeros_(last.up.bias)
    if not any(isinstance(part, Adapted) for part in model.modules()):
        raise _unsuitable("ADAPTER_DIM")


def add_lora(
    model: nn.Module, rank: int, alpha: float, targets: Literal["attention", "all"]
) -> None:
    """Gives linear layers of the backbone a trainable product of two thin matrices (``peft``).

    ``W + alpha / rank * B A``, where B starts at zero (Hu et al., "LoRA: Low-Rank Adaptation of
    Large Language Models", ICLR 2022). All other parameters of the backbone are frozen.

    Args:
        rank: of the product, >= 1.
        targets: which layers: those of the attentions, or all.

    Raises:
        ConfigError: ``peft`` is not installed, or the backbone has no such layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            f"MODEL.LORA_RANK needs pip install 'cdb_video[transformers]': {error}"
        ) from None
    names = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear)
        and not f"{name}.".startswith(HEAD)
        and (targets == "all" or ATTENTION.search(name))
    ]
    if not names:
        raise _unsuitable("LORA_RANK")
    device = next(model.parameters()).device
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)  # type: ignore[arg-type]
    inject_adapter_in_model(config, model)
    model.to(device)


def train_additions_only(model: nn.Module) -> None:
    """Freezes all but adapters, LoRA and the classifier."""
    own = {id(p) for part in model.modules() if isinstance(part, Adapted) for p in _added(part)}
    for name, parameter in model.named_parameters():
        added = ".lora_" in name or id(parameter) in own
        parameter.requires_grad_(added or name.startswith(HEAD))


def _added(part: Adapted) -> list[nn.Parameter]:
    return [*part.down.parameters(), *part.up.parameters()]


@torch.no_grad()
def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The state of ``model`` with LoRA merged into its weights, under their names.

    So the tuned network is used like any other.
    """
    state = dict(model.state_dict())
    for name, part in model.named_modules():
        if hasattr(part, "base_layer") and hasattr(part, "get_delta_weight"):
            key = f"{name}.base_layer.weight"
            state[key] = state[key] + part.get_delta_weight(NAME).to(state[key])
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in state.items()
        if ".lora_" not in name
    }


def is_light(model: nn.Module) -> bool:
    """Whether ``model`` has LoRA, which changes the names in its state."""
    return any(hasattr(part, "base_layer") for part in model.modules())


def _unsuitable(option: str) -> ConfigError:
    return ConfigError(
        f"MODEL.{option} needs a backbone whose blocks have linear layers, such as a transformer"
    )
