"""Writes a model for programs without this package, and checks it on real clips."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdb_video.data.lists.records import Record
from cdb_video.engine.use.embedding import split_records
from cdb_video.engine.use.predictor import Predictor
from cdb_video.errors import CdbVideoError, ConfigError, DataError
from cdb_video.models import Classifier
from cdb_video.models.joint import joint_logits
from cdb_video.system.files import replacing

Format = Literal["onnx", "torch_export", "safetensors"]
TOLERANCE = 1e-3
"""Largest difference of a class probability that is taken for rounding."""
BATCHES = (1, 3)
"""Clips a batch in the check, in turn: a batch size that was written down would show."""
Clips = npt.NDArray[np.uint8]


class ParityError(CdbVideoError):
    """The exported model gives other probabilities. Its file is deleted."""


class Parity(NamedTuple):
    """The comparison of an exported model with its original."""

    num_clips: int
    num_same: int
    """Clips with the same class."""
    largest_difference: float
    """Of a class probability."""


class Exported(nn.Module):
    """The exported model: takes bytes, normalises them, returns probabilities."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, video: Tensor) -> Tensor:
        """uint8 (B, 3, T, H, W) RGB -> (B, K)."""
        logits: Tensor = joint_logits(self.model(video), self.model.outputs)
        return logits.softmax(dim=1)


def own_records(predictor: Predictor, count: int) -> list[Record]:
    """``count`` clips of the data set that the model was trained on, spread over its test split.

    Raises:
        DataError: the data set has moved or is gone.
    """
    records = split_records(predictor, "test")
    chosen = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return [records[place] for place in chosen]


def export(predictor: Predictor, kind: Format, path: Path, records: list[Record]) -> Parity:
    """Writes ``path``, after checking that it equals the model on ``records``.

    Args:
        predictor: on the CPU. It is exported and compared in float32.

    Raises:
        ParityError: it differs.
        ConfigError: the backbone cannot be exported so, or a package is missing.
        DataError: no clip can be decoded.
    """
    clips, fps = _clips(predictor, records)
    precision = predictor.model.precision
    predictor.model.set_precision("fp32")
    model = Exported(predictor.model).eval()
    metadata = {**metadata_of(predictor), "fps": fps}
    try:
        with replacing(path) as partial:
            run = WRITERS[kind](model, predictor, clips, partial, metadata)
            parity = check_parity(model, run, clips)
            if parity.num_same < parity.num_clips or not parity.largest_difference <= TOLERANCE:
                raise ParityError(
                    f"{path} is not written: the class is the same in {parity.num_same} of "
                    f"{parity.num_clips} clips, probabilities differ by up to "
                    f"{parity.largest_difference:.2g}"
                )
    finally:
        predictor.model.set_precision(precision)
    return parity


def metadata_of(predictor: Predictor) -> dict[str, Any]:
    """The metadata that a program needs to use the model, and the model's origin."""
    checkpoint = predictor.checkpoint
    mean, std = predictor.model.normalisation
    return {
        "class_names": predictor.class_names,
        "groups": checkpoint.groups,
        "input": "uint8 (B, 3, T, H, W) RGB; short side to crop_size, then the centre square",
        "output": "(B, K) class probabilities",
        **asdict(predictor.sampling),
        "crop_size": predictor.size,
        "views": dict(zip(("temporal", "spatial"), predictor.views, strict=True)),
        "average": predictor.average,
        "decoding": asdict(predictor.decoding),
        "normalisation": {"mean": list(mean), "std": list(std), "inside": True},
        "backbone": predictor.model.architecture.name,
        "epoch": checkpoint.epoch,
        "versions": checkpoint.versions,
    }


def check_parity(model: nn.Module, run: Callable[[Clips], Clips], clips: Clips) -> Parity:
    """Compares ``run`` with ``model`` on ``clips`` (N, 3, T, S, S), in batches of ``BATCHES``."""
    same, largest, begin, turn = 0, 0.0, 0, 0
    with torch.inference_mode():
        while begin < len(clips):
            part = clips[begin : begin + BATCHES[turn % len(BATCHES)]]
            wanted, got = model(torch.from_numpy(part)).numpy(), run(part)
            same += int((wanted.argmax(axis=1) == got.argmax(axis=1)).sum())
            largest = float(np.fmax(largest, np.abs(wanted - got).max()))
            largest = largest if np.isfinite(got).all() else float("nan")
            begin, turn = begin + len(part), turn + 1
    return Parity(len(clips), same, largest)


def _clips(predictor: Predictor, records: list[Record]) -> tuple[Clips, float]:
    """The clips that can be decoded, and the mean frame rate of their files."""
    batches = predictor.loader(records, (1, 1), 1, 0).batches()
    clips = [batch.video for batch in batches if len(batch.label)]
    if not clips:
        raise DataError(f"none of the {len(records)} clips decodes, and nothing can be checked")
    return torch.cat(clips).numpy(), predictor.frame_rate(records)


def _to_onnx(
    model: Exported, predictor: Predictor, clips: Clips, path: Path, metadata: dict[str, Any]
) -> Callable[[Clips], Clips]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # torch needs it
    except ImportError as error:
        raise ConfigError(f"ONNX needs pip install 'cdb_video[export]': {error}") from None
    with _quiet(), _refused("onnx", predictor):
        program: Any = torch.onnx.export(
            model,
            (_example(clips),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            input_names=["video"],
            output_names=["probabilities"],
            verbose=False,
        )
        program.save(str(path), external_data=False)
    written = onnx.load(str(path))
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(written, texts)
    onnx.save(written, str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"video": batch})[0]


def _to_torch_export(
    model: Exported, predictor: Predictor, clips: Clips, path: Path, metadata: dict[str, Any]
) -> Callable[[Clips], Clips]:
    with _quiet(), _refused("torch_export", predictor):
        program = torch.export.export(
            model,
            (_example(clips),),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )
        with open(path, "wb") as file:
            torch.export.save(program, file, extra_files={"metadata.json": json.dumps(metadata)})
    with open(path, "rb") as file:
        written: Any = torch.export.load(file).module()
    return lambda batch: written(torch.from_numpy(batch)).numpy()


def _to_safetensors(
    model: Exported, predictor: Predictor, clips: Clips, path: Path, metadata: dict[str, Any]
) -> Callable[[Clips], Clips]:
    """Writes only the weights: this package builds the network."""
    import safetensors.torch

    tensors = {name: t.contiguous().clone() for name, t in predictor.model.state_dict().items()}
    config = json.dumps(predictor.checkpoint.config)
    values = {"format": "pt", "metadata": json.dumps(metadata), "config": config}
    safetensors.torch.save_file(tensors, path, values)
    again = predictor.checkpoint.open(precision="fp32")
    for name, tensor in safetensors.torch.load_file(path).items():
        again.state_dict()[name].copy_(tensor)
    exported = Exported(again)
    return lambda batch: exported(torch.from_numpy(batch)).numpy()


WRITERS: dict[str, Callable[..., Callable[[Clips], Clips]]] = {
    "onnx": _to_onnx,
    "torch_export": _to_torch_export,
    "safetensors": _to_safetensors,
}
"""Format -> writes a file and gives what runs it."""


def _example(clips: Clips) -> Tensor:
    """Two example clips: the exporter would fix the batch size at one."""
    return torch.from_numpy(np.resize(clips, (2, *clips.shape[1:])))


@contextmanager
def _refused(kind: str, predictor: Predictor) -> Iterator[None]:
    """Turns any error of the exporter into one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        name = predictor.model.architecture.name
        raise ConfigError(f"the backbone {name} cannot be written as {kind}: {reason}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporters, which print every step."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
