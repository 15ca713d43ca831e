"""Optional attributes of a backbone, with defaults that suit any module."""

from typing import NamedTuple

from torch import Tensor, nn

RGB = tuple[float, float, float]


class InputFormat(NamedTuple):
    """The format of clips that published weights were trained on."""

    num_frames: int
    """T."""
    size: int
    """H and W, in pixels."""
    mean: RGB
    """Subtracted from red, green and blue in [0, 255]."""
    std: RGB
    """What red, green and blue in [0, 255] are divided by after that."""


class Backbone(nn.Module):
    """Base of the package's backbones. Your own may be any ``nn.Module`` with ``num_features`` and
    ``forward``. It inherits from here what it does not define.
    """

    num_features: int
    """F of the features (B, F)."""
    input_format = InputFormat(10, 224, (114.7748, 107.7354, 99.4750), (1.0, 1.0, 1.0))
    """The default is that of the public Kinetics checkpoints of 3D ResNets (ActivityNet mean)."""
    fixed_input = False
    """Whether ``forward`` takes clips of ``input_format``'s frames and size only; it raises
    ``ConfigError`` for others."""
    stages: tuple[tuple[str, ...], ...] = ()
    """The network from input to output: each stage names the submodules or parameters in it
    (``("conv1", "bn1"), ("layer1",), ...``), and every parameter is in exactly one. Stages are what
    is frozen, checkpointed and given learning rates of their own; empty means one stage."""
    token_map = ""
    """Of a transformer, the submodule whose output (B, C, T', H', W'), or frame by frame
    (B * T, C, H', W'), becomes its tokens; what is explained of it. Empty for others, of which the
    last output with more than one place is."""
    token_layer = ""
    """Of a transformer, the submodule whose output (B, N, C), or the first of several, are its last
    tokens, C the number of features; what an attentive head looks at."""
    compile_note = ""
    """Why ``torch.compile`` cannot take the network as one graph; empty where it can."""

    @staticmethod
    def local_name(name: str) -> str:
        """Our name of a tensor that published weights call ``name``. Names of the head begin with
        ``fc.``. Unknown names, and our own, stay unchanged."""
        return name

    def folded(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a weight file, by the names here, with what has no place here folded into
        others, so that the network computes the same; as they are by default."""
        return tensors
