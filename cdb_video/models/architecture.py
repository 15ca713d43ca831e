"""The description of a network, stored in the options and in every checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from cdb_video.config.tree import Selection, dump, from_tree
from cdb_video.config.types import FractionBelowOne, NonNegativeInt, PositiveFloat
from cdb_video.config.yaml_text import parse_yaml
from cdb_video.registry import BACKBONES, Registry


@dataclass(frozen=True, kw_only=True)
class Architecture(Selection):
    """A backbone, its head, and additions to both. The data set gives the outputs."""

    registry: ClassVar[Registry] = BACKBONES

    name: str = "resnext3d"
    """Backbone. Its own options are in the section of its name."""
    options: Any
    dropout_rate: FractionBelowOne = 0.0
    """Share of features dropped before the classifier in training, in [0, 1)."""
    head: Literal["linear", "cosine", "attentive"] = "linear"
    """Classifier. 'cosine' gives HEAD_SCALE times the cosines of features and class weights.
    'attentive' lets a learnt query look at the last tokens of a transformer instead of its own
    average. With FREEZE_STAGES all it is an attentive probe."""
    heads: Literal["one", "parts"] = "one"
    """'parts' gives a linear head to each thing that a class says, such as the verb and the noun of
    an action. Each head has a loss and a difficulty of its own. A class is as likely as its parts
    together."""
    head_scale: PositiveFloat = 1.0
    """Factor on the cosines of HEAD cosine. Use 1 for LOSS.NAME ldam, which has its own, and such
    as 25 for losses of the cross-entropy family."""
    lora_rank: NonNegativeInt = 0
    """Light tuning by LoRA: linear layers get a product of two matrices of this rank, and only it
    and the classifier are trained. 0 is off. Checkpoints hold the weights with it added."""
    lora_alpha: PositiveFloat = 16.0
    """The product is multiplied with LORA_ALPHA / LORA_RANK."""
    lora_targets: Literal["attention", "all"] = "attention"
    """Linear layers that get LoRA: those of the attentions, or all of the backbone."""
    adapter_dim: NonNegativeInt = 0
    """Light tuning by adapters: each block's MLP is followed by a bottleneck of this width, and
    only these and the classifier are trained. 0 is off."""

    def __post_init__(self) -> None:
        if self.heads == "parts" and self.head != "linear":
            raise ValueError(f"HEADS parts needs HEAD linear, got {self.head}")
        if self.lora_rank and self.adapter_dim:
            raise ValueError(
                f"LORA_RANK and ADAPTER_DIM exclude each other, got {self.lora_rank} and "
                f"{self.adapter_dim}"
            )

    @classmethod
    def of(cls, other: "Architecture") -> "Architecture":
        """``other`` without any further options."""
        return cls(**{name: getattr(other, name) for name in OWN})

    @classmethod
    def of_tree(cls, tree: Mapping[str, Any]) -> "Architecture":
        """Made of the section MODEL of a config. Keys of anything else are ignored.

        Raises:
            ConfigError: an option is wrong, or nothing is registered under the backbone's name.
        """
        name = str(tree.get("NAME", cls.name))
        known = {*map(str.upper, OWN), name.upper()}
        return from_tree(cls, {key: v for key, v in tree.items() if key in known}, "MODEL")

    def text(self) -> str:
        """YAML text; ``of_tree`` reads it."""
        return dump(self)

    @staticmethod
    def tree_of(text: object) -> dict[str, Any]:
        """The tree of a ``text``; empty for anything else."""
        tree = parse_yaml(text) if isinstance(text, str) else None
        return tree if isinstance(tree, dict) else {}


OWN = tuple(field.name for field in fields(Architecture))
"""Names of the fields."""
