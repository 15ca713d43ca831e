"""The contract of a backbone, as checks. Tests and ``check-backbone`` run them.

``registry.py`` and ``backbone.py`` state the contract in words. A check builds networks of a
``Subject`` and raises ``ContractError`` if the backbone breaks the contract.
"""

import copy
import pickle
import re
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cdb_video.errors import ConfigError
from cdb_video.models.subject import NUM_CLASSES, ContractError, Subject


def shapes(subject: Subject) -> None:
    """Features are float (B, num_features), logits (B, K), and not the same for all clips."""
    video, backbone = subject.clips(2), subject.backbone().eval()
    with torch.no_grad():
        features = backbone(video)
    wanted = (2, backbone.num_features)
    if tuple(features.shape) != wanted or features.dtype != torch.float32:
        got = f"{str(features.dtype).removeprefix('torch.')} {(*features.shape,)}"
        raise ContractError(f"features must be float32 (B, num_features) = {wanted}, got {got}")
    _check_logits(subject.model(), video)


def number_of_frames(subject: Subject) -> None:
    """Any T >= 1 works: 1, 3 and 7. A fixed T refuses others with a ``ConfigError``."""
    side, model = subject.size, subject.model()
    for length in (subject.num_frames + 1,) if subject.fixed_input else (1, 3, 7):
        video = subject.clips(2, (length, side, side))
        _check_refused(model, video) if subject.fixed_input else _check_logits(model, video)


def frame_size(subject: Subject) -> None:
    """Oblong, odd and large frames work. A fixed size refuses others with a ``ConfigError``."""
    side, model = subject.size, subject.model()
    if subject.fixed_input:
        _check_refused(model, subject.clips(2, (subject.num_frames, side + 1, side + 1)))
        _check_refused(model, subject.clips(2, (subject.num_frames, side, 2 * side)))
        return
    for shape in ((10, side + 16, 2 * side), (7, side + 13, side + 1), (16, side + 80, side + 48)):
        _check_logits(model, subject.clips(2, shape))


def gradients(subject: Subject) -> None:
    """The gradient reaches every trainable parameter, and is finite."""
    model = subject.model().train()
    for parameter in model.parameters():
        # A layer that starts at zero, such as the last one of a residual branch, would hide the
        # layers before it.
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.1)
    loss = functional.cross_entropy(model(subject.clips(4)), torch.arange(4))
    loss.backward()  # type: ignore[no-untyped-call]
    without, broken = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any()):
            without.append(name)
        elif parameter.grad is not None and not parameter.grad.isfinite().all():
            broken.append(name)
    if without:
        raise ContractError(f"no gradient reaches {', '.join(without)}")
    if broken:
        raise ContractError(f"the gradient is not finite at {', '.join(broken)}")


def evaluation(subject: Subject) -> None:
    """In eval mode the same clips give the same logits, and no parameter or buffer changes."""
    model, video = subject.model().eval(), subject.clips(2)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        if not torch.equal(model(video), model(video)):
            raise ContractError("the same clips give other logits the second time, in eval mode")
    after = model.state_dict()
    changed = [key for key in after if not torch.equal(after[key], before[key])]
    if changed:
        raise ContractError(f"a forward pass in eval mode changes {', '.join(changed)}")


def batch_independence(subject: Subject) -> None:
    """In eval mode a clip's logits do not depend on the other clips of its batch."""
    model, video = subject.model().eval(), subject.clips(3)
    with torch.no_grad():
        alone = torch.cat([model(clip[None]) for clip in video])
        _check_close(model(video), alone, "in a batch and alone", atol=1e-5)


def channels_last(subject: Subject) -> None:
    """The memory format ``channels_last_3d``, which training uses, gives the same logits."""
    model, video = subject.model().eval(), subject.clips(2)
    with torch.no_grad():
        expected = model(video)
        model.to(memory_format=torch.channels_last_3d)
        logits = model(video.to(memory_format=torch.channels_last_3d))
    _check_close(logits, expected, "in channels_last_3d and contiguous", atol=1e-4)


def bfloat16(subject: Subject) -> None:
    """In bfloat16 logits stay close to those in float32, and gradients are finite."""
    model, video = subject.model().eval(), subject.clips(2)
    expected = model(video).detach()
    model.set_precision("bf16")
    logits = model(video)
    if logits.dtype != torch.bfloat16:
        raise ContractError(f"logits must be bfloat16 in that precision, got {logits.dtype}")
    # bf16 has 8 significant bits, so a few layers stay within some percent.
    worst = float((logits.detach() - expected).abs().max() / expected.abs().max())
    if not worst < 0.1:
        raise ContractError(f"bfloat16 logits must be within 10 % of float32, got {worst:.0%}")
    logits.float().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise ContractError(f"the gradient is not finite at {name} in bfloat16")


def state_dict(subject: Subject) -> None:
    """A state dict copies a trained network exactly, under the names of the backbone and ``fc``."""
    model, other = subject.model(seed=0), subject.model(seed=1)
    wanted = [*subject.backbone().state_dict(), "fc.weight", "fc.bias"]
    if list(model.state_dict()) != wanted:
        odd = sorted(set(model.state_dict()) ^ set(wanted))
        raise ContractError(f"a head must add fc.weight and fc.bias only, got also {odd}")
    model.train()(subject.clips(4))  # changes batch-norm statistics
    other.load_state_dict(model.state_dict())
    video = subject.clips(2, seed=2)
    with torch.no_grad():
        if not torch.equal(model.eval()(video), other.eval()(video)):
            raise ContractError("a network loaded from another's state dict gives other logits")


def published_names(subject: Subject) -> None:
    """``local_name`` does not change the network's own names."""
    model = subject.model()
    for name in model.state_dict():
        if model.local_name(name) != name:
            raise ContractError(
                f"local_name must keep the network's own name {name!r}, got "
                f"{model.local_name(name)!r}"
            )


def copies(subject: Subject) -> None:
    """A deep copy gives the same logits and shares nothing with the network."""
    model, video = subject.model().eval(), subject.clips(2)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(video)
        if not torch.equal(twin(video), expected):
            raise ContractError("a deep copy gives other logits")
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.zero_()
        if not torch.equal(model(video), expected):
            raise ContractError("a change to a deep copy changes the network")


def pickling(subject: Subject) -> None:
    """A model can be pickled, for other processes."""
    try:
        pickle.dumps(subject.model())
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ContractError(f"a model cannot be pickled: {first_line(error)}") from None


def byte_input(subject: Subject) -> None:
    """uint8 clips give the same logits as clips normalised as ``input_format`` says."""
    model = subject.model().eval()
    video = (40 * subject.clips(2) + 128).clamp(0, 255).byte()
    mean, std = (torch.tensor(numbers).view(3, 1, 1, 1) for numbers in model.input_format[2:])
    with torch.no_grad():
        _check_close(model(video), model((video - mean) / std), "of bytes and floats", atol=1e-4)


def stages(subject: Subject) -> None:
    """Every parameter is in exactly one stage, and every part of a stage has parameters."""
    backbone, model = subject.backbone(), subject.model()
    parts = [part for stage in model.stages for part in stage]
    names = [name for name, _ in backbone.named_parameters()]
    for name in names if parts else ():
        found = [part for part in parts if _is_in(name, part)]
        if len(found) != 1:
            raise ContractError(f"{name} must be in exactly one stage, got {found}")
    for part in parts:
        if not any(_is_in(name, part) for name in names):
            raise ContractError(f"stages name {part}, which has no parameters")


def compilation(subject: Subject) -> None:
    """``torch.compile`` takes the training network as one graph, or ``compile_note`` says why not.

    The backend "eager" captures and runs the graph, so no compiler is needed or tested.
    """
    model, video = subject.model().train(), subject.clips(4)
    twin = copy.deepcopy(model)
    torch.compiler.reset()  # earlier graphs count towards a limit
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    try:
        torch.manual_seed(0)
        logits = compiled(video)
    except Exception as error:  # any error is the answer
        if model.compile_note:
            return
        places = re.findall(r'File "(.+?)", line (\d+)', str(error)) or [("", "")]
        reason = f"{first_line(error)} {':'.join(places[-1])}"
        raise ContractError(f"{reason}; if it must be so, say why in compile_note") from error
    if model.compile_note:
        raise ContractError(f"compiles, so compile_note must be empty, got {model.compile_note!r}")
    torch.manual_seed(0)
    _check_close(logits.detach(), twin(video).detach(), "compiled and not", atol=1e-4)


CHECKS = (
    shapes,
    number_of_frames,
    frame_size,
    gradients,
    evaluation,
    batch_independence,
    channels_last,
    bfloat16,
    state_dict,
    published_names,
    copies,
    pickling,
    byte_input,
    stages,
    compilation,
)


def first_line(error: Exception) -> str:
    """``error`` in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"


def _check_logits(model: Any, video: Tensor) -> None:
    where = f"for clips {(*video.shape,)}"
    try:
        with torch.no_grad():
            logits = model.eval()(video)
    except Exception as error:  # a defect of the backbone can raise anything
        raise ContractError(f"{first_line(error)}, {where}") from error
    if logits.shape != (len(video), NUM_CLASSES):
        raise ContractError(f"logits must be {(len(video), NUM_CLASSES)}, got {(*logits.shape,)}")
    if not logits.isfinite().all():
        raise ContractError(f"logits must be finite {where}")
    if torch.equal(logits[0], logits[1]):
        raise ContractError(f"logits do not depend on the clip, {where}")


def _check_refused(model: Any, video: Tensor) -> None:
    got = "features"
    try:
        model(video)
    except ConfigError:
        return
    except Exception as error:
        got = first_line(error)
    raise ContractError(f"fixed_input must refuse {(*video.shape,)} with a ConfigError, got {got}")


def _check_close(got: Tensor, wanted: Tensor, what: str, atol: float) -> None:
    if not torch.allclose(got, wanted, rtol=1e-4, atol=atol):
        worst = float((got - wanted).abs().max())
        raise ContractError(f"logits must be equal {what}, differ by up to {worst:.2g}")


def _is_in(name: str, part: str) -> bool:
    return f"{name}.".startswith(f"{part}.")
