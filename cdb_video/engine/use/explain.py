"""Explains a prediction: a map over space and time of the evidence for a class."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdb_video.data.decode import VideoReader
from cdb_video.data.frames.crops import fixed_crop
from cdb_video.data.frames.cutting import cut, cut_views
from cdb_video.data.frames.sampling import frame_range
from cdb_video.data.lists.records import Record
from cdb_video.engine.use.given import as_record
from cdb_video.engine.use.predictor import Predictor
from cdb_video.errors import ConfigError, DataError
from cdb_video.models.joint import joint_logits

Heat = npt.NDArray[np.float32]


class Explanation(NamedTuple):
    """The evidence for a class in a clip."""

    class_name: str
    score: float
    """Probability of the class."""
    clip: npt.NDArray[np.uint8]
    """(T, S, S, 3) RGB: what the network saw."""
    heat: Heat
    """(T, S, S) in [0, 1]; 1 where most spoke for the class, 0 where nothing or what is against."""
    times: npt.NDArray[np.float64]
    """(T,) seconds of the frames."""


def explain(
    predictor: Predictor, video: str | Path | Record, class_name: str | None = None
) -> Explanation:
    """Explains the middle view of a clip, a whole file or a part of one.

    Args:
        class_name: the class to explain; by default the predicted one.

    Raises:
        DataError, DecodeError: the file cannot be decoded.
        ConfigError: there is no such class, or the network has no map in space.
    """
    record = as_record(video)
    span = (record.start, record.end)
    with VideoReader(record.path, predictor.decoding, span) as reader:
        first, last = frame_range(reader.times, reader.end_s, *span)
        indices = predictor.sampling.indices(first, last, times=reader.times)
        (clip,) = cut_views(reader, first, last, predictor.sampling, (1, 1), predictor.size)
        times = reader.times[indices]
    batch = torch.from_numpy(clip)[None].to(predictor.device)
    with torch.no_grad():
        scores = joint_logits(predictor.model(batch), predictor.model.outputs).softmax(dim=1)[0]
    class_id = int(scores.argmax())
    if class_name is not None:
        if class_name not in predictor.class_names:
            names = ", ".join(predictor.class_names[:20])
            raise ConfigError(f"--class must be one of {names}, got {class_name!r}")
        class_id = predictor.class_names.index(class_name)
    heat = heat_map(predictor.model, batch, class_id)
    return Explanation(
        predictor.class_names[class_id],
        float(scores[class_id]),
        clip.transpose(1, 2, 3, 0),
        heat.cpu().numpy(),
        times,
    )


def heat_map(model: Any, video: Tensor, class_id: int) -> Tensor:
    """The evidence for a class in one clip (1, 3, T, S, S): (T, S, S) in [0, 1].

    A convolutional network gets Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from
    Deep Networks via Gradient-based Localization", ICCV 2017) on its last map in space and time, of
    both pathways if there are two. A transformer gets gradient times activation of its input
    tokens. The map is resized to the clip and divided by its maximum.
    """
    place = model.token_map or _last_map(model, video)
    frames, size = video.shape[2], tuple(video.shape[2:])
    with torch.enable_grad(), _watched(model, place) as seen:
        # With frozen parameters there would be no gradient.
        model.zero_grad()
        logit = joint_logits(model(video), model.outputs)[0, class_id]
    maps = _maps(seen[-1], frames)
    gradients = torch.autograd.grad(logit, maps)
    total = torch.zeros(size, device=video.device)
    for activation, gradient in zip(maps, gradients, strict=True):
        alone, slope = _by_time(activation, frames), _by_time(gradient, frames)
        if not model.token_map:
            slope = slope.mean(dim=(2, 3, 4), keepdim=True)
        heat = (slope * alone).sum(dim=1, keepdim=True).float()
        total += F.interpolate(heat, size=size, mode="trilinear", align_corners=False)[0, 0]
    positive = total.detach().relu()
    return positive / positive.max().clamp(min=torch.finfo(torch.float32).tiny)


def all_frames(
    predictor: Predictor, record: Record, explanation: Explanation
) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
    """Yields every frame of the clip, cropped as for the network, with its heat map drawn over it.

    Heat is interpolated between the frames that the network saw.
    """
    span = (record.start, record.end)
    with VideoReader(record.path, predictor.decoding, span) as video:
        first, last = frame_range(video.times, video.end_s, *span)
        wanted = [np.array([number]) for number in range(first, last)]
        crop = fixed_crop(*video.size)
        times = explanation.times
        frames = cut(video, wanted, [crop], predictor.size)
        for second, frame in zip(video.times[first:last].tolist(), frames, strict=True):
            after = int(np.searchsorted(times, second).clip(1, max(len(times) - 1, 1)))
            before, after = after - 1, min(after, len(times) - 1)
            gap = times[after] - times[before]
            part = float(np.clip((second - times[before]) / gap, 0, 1)) if gap > 0 else 0.0
            heat = (1 - part) * explanation.heat[before] + part * explanation.heat[after]
            yield second, with_heat(frame[:, 0].transpose(1, 2, 0), heat)


def with_heat(picture: npt.NDArray[np.uint8], heat: Heat) -> npt.NDArray[np.uint8]:
    """``picture`` (H, W, 3), grey where ``heat`` (H, W) is 0, coloured over where it is not."""
    from matplotlib import colormaps

    colour = 255 * colormaps["inferno"](heat)[..., :3]
    share = 0.75 * np.sqrt(heat)[..., None]
    grey = picture.mean(axis=2, keepdims=True)
    blend = (1 - share) * grey + share * colour
    return np.asarray(blend.round().clip(0, 255), np.uint8)


def _last_map(model: nn.Module, video: Tensor) -> str:
    """Name of the last module whose output still has positions in space."""
    names: list[str] = []
    handles = []

    def note(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if _is_map(output, video.shape[2]):
                names.append(name)

        return look

    try:
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_hook(note(name)))
        with torch.no_grad():
            model(video)
    finally:
        for handle in handles:
            handle.remove()
    names = [name for name in names if name != "normalise"]
    if not names:
        raise ConfigError(
            f"the network has no map in space for clips of {tuple(video.shape[2:])}: larger clips, "
            "or another backbone"
        )
    return names[-1]


def _is_map(output: Any, frames: int) -> bool:
    """The maps of one clip: (1, C, T', H', W'), or frame by frame (T, C, H', W'), or a list."""
    if isinstance(output, (list, tuple)):
        return bool(output) and all(_is_map(one, frames) for one in output)
    if not isinstance(output, Tensor) or output.ndim not in (4, 5):
        return False
    return output.shape[0] == (1 if output.ndim == 5 else frames) and output.shape[-2:].numel() > 1


def _maps(output: Any, frames: int) -> list[Tensor]:
    outputs = list(output) if isinstance(output, (list, tuple)) else [output]
    if not all(_is_map(one, frames) for one in outputs):
        raise DataError("the network's map is not (B, C, T, H, W) nor (B * T, C, H, W)")
    return outputs


def _by_time(one: Tensor, frames: int) -> Tensor:
    """(1, C, T', H', W')."""
    return one if one.ndim == 5 else one.transpose(0, 1)[None]


@contextmanager
def _watched(model: nn.Module, place: str) -> Iterator[list[Any]]:
    """Collects the outputs of a submodule in the block, with their graph."""
    seen: list[Any] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> Any:
        def leaf(one: Tensor) -> Tensor:
            return one if one.requires_grad else one.detach().requires_grad_()

        if isinstance(output, (list, tuple)):
            output = type(output)([leaf(one) for one in output])
            # Later modules may work in place, so the output is copied.
            seen.append(list(output))
            return type(output)([one.clone() for one in output])
        output = leaf(output)
        seen.append(output)
        return output.clone()

    handle = model.get_submodule(place).register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
