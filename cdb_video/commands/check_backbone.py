"""The command ``check-backbone``: runs the contract on a backbone and prints what it costs."""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cdb_video.config.tree import UnknownKeyError, from_tree, nearest_key, parse_overrides
from cdb_video.errors import ConfigError
from cdb_video.models import build_model, cost
from cdb_video.models.contract import CHECKS, first_line
from cdb_video.models.subject import ContractError, Subject
from cdb_video.registry import BACKBONES, import_modules

NUM_CLASSES = 400
"""Those of Kinetics-400, for which most published networks are counted."""
BATCH_SIZE = 2
"""Clips in a training step: batch norm has nothing to average over in a batch of one."""


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Prints a line a check, then shapes, parameters, multiply-adds, memory and time.

    Returns:
        0, or 1 if a check failed.

    Raises:
        ConfigError: unknown module, backbone or option, or a wrong value.
    """
    words = _parser(prog).parse_intermixed_args(argv)
    given = {"num_frames": words.frames, "size": words.size}
    given = {key: value for key, value in given.items() if value is not None}
    if min(given.values(), default=1) < 1:
        raise ConfigError(f"--frames and --size must be integers >= 1, got {(*given.values(),)}")
    own = Path(f"{words.name}.py").exists() and words.name not in BACKBONES.names()
    import_modules([*words.imports, words.name] if own else words.imports)
    chosen = vars(_read_options(words.name, words.opts))
    # This comes first: the checks would otherwise add to the memory of the network.
    costs, measured = _costs(words, chosen)
    subject = Subject(words.name, chosen, **given)
    passed = [_passes(check, subject) for check in CHECKS]
    print(f"{sum(passed)} of {len(passed)} checks passed\n")
    for label, value in costs.items():
        print(f"{label:<14}{value}")
    return 0 if all(passed) and measured else 1


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [-h] NAME [--imports MODULE] [--frames T] [--size S] [KEY VALUE ...]",
        description="Check a backbone against its contract and measure what it costs.",
    )
    parser.add_argument("name", metavar="NAME", help="registered name of the backbone")
    parser.add_argument(
        "--imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import it first; without it NAME.py in this folder, if NAME is not registered",
    )
    parser.add_argument(
        "--frames", type=int, metavar="T", help="frames of a clip (checks 8, cost input_format)"
    )
    parser.add_argument(
        "--size", type=int, metavar="S", help="height and width (checks 32, cost input_format)"
    )
    parser.add_argument(
        "opts", nargs="*", metavar="KEY VALUE", help="options of the backbone, such as WIDTH 96"
    )
    return parser


def _read_options(name: str, words: Sequence[str]) -> Any:
    kind = BACKBONES.get(name).Options
    try:
        return from_tree(kind, parse_overrides(words), f"MODEL.{name.upper()}")
    except UnknownKeyError as error:
        near = nearest_key(kind, error.key.split(".")[-1])
        raise ConfigError(f"{error}{f'; did you mean {near}?' if near else ''}") from None


def _passes(check: Callable[[Subject], None], subject: Subject) -> bool:
    name = check.__name__.replace("_", " ")
    try:
        check(subject)
    except ContractError as error:
        print(f"FAILED  {name}: {error}")
    except Exception as error:  # a defect of the backbone can raise anything
        print(f"FAILED  {name}: {first_line(error)}")
    else:
        print(f"ok      {name}")
        return True
    return False


def _costs(words: argparse.Namespace, chosen: dict[str, Any]) -> tuple[dict[str, str], bool]:
    """Label -> text, and whether the network ran at all."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cost.load_torch(device)
    before = cost.peak_bytes(device)
    model: Any = build_model(words.name, NUM_CLASSES, **chosen).to(device)
    size = words.size or model.input_format.size
    clip = (3, words.frames or model.input_format.num_frames, size, size)
    lines = {"clip": str(clip)}
    try:
        seconds = cost.time_steps(model, torch.randn(BATCH_SIZE, *clip, device=device))
        peak = cost.peak_bytes(device)
        for parts, shape in cost.stage_shapes(model, torch.randn(1, *clip, device=device)).items():
            lines[f"  {parts}"] = str(shape[1:])
    except ConfigError:
        raise
    except Exception as error:  # a defect of the backbone can raise anything
        return lines | {"cost": f"FAILED: {first_line(error)}"}, False
    lines["features"] = str(model.num_features)
    head = sum(parameter.numel() for parameter in model.fc.parameters())
    total = sum(parameter.numel() for parameter in model.parameters())
    lines["parameters"] = f"{total - head:,}; {total:,} with a head for {NUM_CLASSES} classes"
    lines["GMACs"] = _gmacs(lambda: build_model(words.name, NUM_CLASSES, **chosen), clip)
    step = f"forward, backward, SGD on {BATCH_SIZE} clips"
    whose, where = "all tensors", f"{device}"
    if device.type == "cpu":
        whose, where = "growth of the process", f"cpu, threads: {torch.get_num_threads()}"
    if before is not None and peak is not None:
        lines["peak memory"] = f"{(peak - before) / 2**20:,.0f} MiB: {step} ({whose})"
    lines["step time"] = (
        f"{1000 * statistics.median(seconds):,.0f} ms: {step} ({where}; median of {len(seconds)})"
    )
    return lines, True


def _gmacs(build: Callable[[], torch.nn.Module], clip: tuple[int, int, int, int]) -> str:
    try:
        gmacs = cost.count_gmacs(build, clip)
    except Exception as error:  # a defect of the backbone can raise anything
        return f"not counted: {first_line(error)}"
    return f"{gmacs:,.2f} a clip: convolutions, matrix products, attention, norms"
