"""Loads the tensors of a weight file into a model, by name and shape."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from cdb_video.config.types import PositiveFraction, may_change
from cdb_video.errors import CheckpointError
from cdb_video.models.backbone import Backbone
from cdb_video.models.weights.files import read_state_dict
from cdb_video.models.weights.sources import locate

HEAD = "fc."
"""Prefix of the classification head's names."""
MAX_PREFIXES = 30
"""Beginnings of names that are tried: the most frequent ones."""
MIN_FRACTION = 0.8
"""Smallest share of the backbone that must fit, where nothing else is asked for: above the 0.73
that a ResNeXt-152 takes from a ResNeXt-101, below the 0.94 of one with the other shortcut."""


@dataclass(frozen=True)
class Pretrained:
    """Options: the weights that a network starts from."""

    pretrained: str = may_change("")
    """Weights to start from: a path, a URL (http, https or file), or the folder or hub name
    (owner/model) of a transformers model. docs/weights.md lists the formats. Empty starts from
    scratch."""
    pretrained_min_fraction: PositiveFraction = may_change(MIN_FRACTION)
    """Smallest share of the backbone's parameters that PRETRAINED must hold, counted in numbers.
    With less the run does not start."""


@dataclass(frozen=True)
class WeightReport:
    """The result for every tensor of a model and of a weight file."""

    path: str
    loaded: list[str]
    """In both, and fitting: copied into the model."""
    inflated: list[str]
    """Those among the loaded that are 2D kernels in the file and 3D ones in the model."""
    missing: list[str]
    """In the model only: left as they were."""
    unexpected: list[str]
    """In the file only, by the file's names: not used."""
    mismatched: list[str]
    """In both, of different shapes: the model's are left as they were."""
    fraction: float
    """Share of the backbone's parameters, counted in numbers, that was loaded, in [0, 1]. Neither
    the head nor buffers such as running means count."""

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        inflated = f", {len(self.inflated)} of them inflated from 2D" if self.inflated else ""
        return (
            f"{self.path}: loaded {len(self.loaded)} of {total} tensors{inflated}, "
            f"{self.fraction:.1%} of the backbone's parameters; "
            f"missing in the file {_shorten(self.missing)}; "
            f"not in the model {_shorten(self.unexpected)}; "
            f"skipped for their shape {_shorten(self.mismatched)}"
        )


def _shorten(names: list[str]) -> str:
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{len(names)} ({shown})" if names else "0"


def _first(tensors: dict[str, Tensor]) -> str:
    name, tensor = next(iter(tensors.items()))
    return f"{name} {(*tensor.shape,)}"


def load_weights(
    model: nn.Module, source: str | Path, min_fraction: float = MIN_FRACTION
) -> WeightReport:
    """Copies tensors into the parameters and buffers of the same name and shape.

    The backbone's ``local_name`` translates names. A 2D kernel is inflated if the model has a 3D
    one. A head with another number of classes is skipped, so the model keeps its fresh one. Files
    older than batch norm's ``num_batches_tracked`` are complete without it.

    Args:
        source: all that ``locate`` takes.
        min_fraction: smallest share of the backbone's parameters that must fit, in [0, 1].

    Raises:
        CheckpointError: the source cannot be read, or less of the backbone than ``min_fraction``
            fits. Then the model is unchanged.
    """
    path = locate(source)
    return fit_tensors(model, read_state_dict(path), path, min_fraction)


def fit_tensors(
    model: nn.Module, read: dict[str, Tensor], path: Path, min_fraction: float
) -> WeightReport:
    """``load_weights`` of tensors that were read from ``path``."""
    wanted = model.state_dict()
    names = _local_names(model, read, path)
    fold = getattr(model, "folded", dict)
    given: dict[str, Tensor] = fold({here: read[there] for here, there in names.items()})
    names = {here: there for here, there in names.items() if here in given}
    fitted = {
        name: tensor
        for name, target in wanted.items()
        if name in given and (tensor := _fit(given[name], target)) is not None
    }
    fraction = _fraction(model, fitted)
    if fraction < min_fraction:
        raise CheckpointError(
            f"{path}: {fraction:.1%} of the backbone's parameters fit by name and shape, at least "
            f"{min_fraction:.1%} must (MODEL.PRETRAINED_MIN_FRACTION); "
            f"the model begins with {_first(wanted)}, the file with {_first(read)}"
        )
    model.load_state_dict(fitted, strict=False)
    return WeightReport(
        path=str(path),
        loaded=list(fitted),
        inflated=[name for name in fitted if given[name].ndim != wanted[name].ndim],
        missing=[
            name
            for name in wanted
            if name not in names and not name.endswith("num_batches_tracked")
        ],
        unexpected=[name for here, name in names.items() if here not in wanted],
        mismatched=[name for name in wanted if name in names and name not in fitted],
        fraction=fraction,
    )


def _local_names(model: nn.Module, read: dict[str, Tensor], path: Path) -> dict[str, str]:
    """The model's name for a tensor -> the file's.

    Training programs add prefixes to the names of tensors (``model.``, ``module.``, ``net.``,
    ``model.backbone.``), and store other tensors, such as the weight of a loss. The prefix under
    which most parameters fit is dropped.
    """
    wanted = model.state_dict()
    local_name = getattr(model, "local_name", Backbone.local_name)

    def fitting(prefix: str) -> int:
        under = ((name, t) for name, t in read.items() if name.startswith(prefix))
        pairs = ((local_name(name.removeprefix(prefix)), tensor) for name, tensor in under)
        return sum(
            tensor.numel()
            for here, tensor in pairs
            if here in wanted and _fits(tensor, wanted[here])
        )

    prefix = max(_prefixes(read), key=fitting)  # the shortest of several
    names: dict[str, str] = {}
    for name in read:
        local = local_name(name.removeprefix(prefix))
        # A tensor with the model's own name wins over one with a prefix.
        if local in names and name.startswith(prefix) == names[local].startswith(prefix):
            raise CheckpointError(f"{path}: {names[local]} and {name} are both {local} here")
        if local not in names or name.startswith(prefix):
            names[local] = name
    return names


def _prefixes(names: Iterable[str]) -> list[str]:
    """The frequent prefixes of ``names`` up to a dot, with the empty one; the shortest first."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")[:-1]
        found.update(".".join(parts[:depth]) + "." for depth in range(1, len(parts) + 1))
    frequent = [prefix for prefix, _ in found.most_common(MAX_PREFIXES)]
    return sorted(["", *frequent], key=len)


def _fit(tensor: Tensor, target: Tensor) -> Tensor | None:
    """``tensor`` in the shape of ``target``, or None if it does not fit."""
    if not _fits(tensor, target):
        return None
    if tensor.shape == target.shape:
        return tensor
    return inflate(tensor.to(target.dtype), target.shape[2])


def _fits(tensor: Tensor, target: Tensor) -> bool:
    """Whether ``tensor`` has the shape of ``target``, or is a 2D kernel for it."""
    shape = tuple(target.shape)
    return tensor.shape == shape or (len(shape) == 5 and tensor.shape == (*shape[:2], *shape[3:]))


def inflate(kernel: Tensor, num_frames: int) -> Tensor:
    """The 3D kernel (O, I, T, H, W) whose result on T equal frames is that of (O, I, H, W) on one.

    The 2D kernel is repeated over time and divided by T: Carreira and Zisserman, "Quo Vadis,
    Action Recognition?", CVPR 2017.
    """
    return kernel[:, :, None].expand(-1, -1, num_frames, -1, -1) / num_frames


def _fraction(model: nn.Module, fitted: dict[str, Tensor]) -> float:
    """``WeightReport.fraction``."""
    sizes = {
        name: parameter.numel()
        for name, parameter in model.named_parameters()
        if not name.startswith(HEAD)
    }
    if not sizes:
        return 1.0
    return sum(size for name, size in sizes.items() if name in fitted) / sum(sizes.values())
