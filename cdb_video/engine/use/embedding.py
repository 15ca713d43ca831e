"""Features of any clips: as a file for other programs, and as a two-dimensional map."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console

from cdb_video.config.tree import from_tree
from cdb_video.data.batches.batch import Batch
from cdb_video.data.lists.records import Record
from cdb_video.engine.evaluate.features import compute_features
from cdb_video.engine.use.predictor import Predictor
from cdb_video.errors import ConfigError
from cdb_video.models.joint import joint_logits
from cdb_video.registry import DATASETS
from cdb_video.system.files import replacing

FORMATS = (".npz", ".safetensors")


class Embedding(NamedTuple):
    """The features of the N clips that can be decoded."""

    features: npt.NDArray[np.float32]
    """(N, F): the input of the classifier, of the middle view."""
    labels: npt.NDArray[np.int64]
    """(N,); -1 where it is not known."""
    predictions: npt.NDArray[np.int64]
    """(N,) the class that the model says."""
    paths: list[str]
    """(N,)."""
    spans: npt.NDArray[np.float64]
    """(N, 2) start and end in seconds; not a number for the beginning or the end of the file."""
    class_names: list[str]
    """(K,)."""
    bad: list[str]
    """Why others do not decode, a line each."""


def split_records(predictor: Predictor, split: str) -> list[Record]:
    """The labelled clips of a split of the data set that the model was trained on.

    Raises:
        DataError: the data set has moved or is gone.
    """
    checkpoint = predictor.checkpoint
    name = str(checkpoint.option("DATA", "NAME"))
    kind, section = DATASETS.get(name), name.upper()
    own = from_tree(kind.Options, checkpoint.config["DATA"].get(section, {}), f"DATA.{section}")
    records: list[Record] = kind(own).records(split)
    return records


def embed(
    predictor: Predictor, records: Sequence[Record], batch_size: int, workers: int, screen: Console
) -> Embedding:
    """Raises ``DataError`` if no clip can be decoded."""
    bad: list[str] = []

    def see(batch: Batch) -> Batch:
        bad.extend(one.reason for one in batch.bad)
        return batch

    loader = predictor.loader(records, (1, 1), batch_size, workers)
    indices, features = compute_features(predictor.model, loader, "features", screen, see)
    chosen = [records[index] for index in indices.tolist()]
    model = predictor.model
    logits = model.fc(features.to(predictor.device)).detach().cpu()
    logits = joint_logits(logits, model.outputs)
    none = float("nan")
    spans = [[none if s is None else s for s in (record.start, record.end)] for record in chosen]
    return Embedding(
        features.numpy(),
        np.array([record.label for record in chosen], dtype=np.int64),
        logits.argmax(dim=1).numpy(),
        [record.path for record in chosen],
        np.array(spans, dtype=np.float64),
        predictor.class_names,
        bad,
    )


def write_embedding(path: Path, embedding: Embedding) -> None:
    """Writes an ``.npz`` of arrays, or a ``.safetensors`` with the texts in its header.

    Raises:
        ConfigError: the name has another ending.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "features": embedding.features,
        "labels": embedding.labels,
        "predictions": embedding.predictions,
        "spans": embedding.spans,
    }
    texts = {"paths": embedding.paths, "class_names": embedding.class_names}
    if path.suffix not in FORMATS:
        raise ConfigError(f"--out must end in {' or '.join(FORMATS)}, got {path}")
    with replacing(path) as partial:
        if path.suffix == ".npz":
            with open(partial, "wb") as file:
                np.savez(file, **arrays, **{k: np.array(v) for k, v in texts.items()})  # type: ignore[arg-type]
        else:
            import safetensors.numpy

            header = {name: json.dumps(values) for name, values in texts.items()}
            safetensors.numpy.save_file(arrays, partial, header)


def in_two_dimensions(
    features: npt.NDArray[np.float32], method: str, seed: int = 0
) -> npt.NDArray[np.float64]:
    """(N, F) -> (N, 2) by scikit-learn's ``pca`` or ``tsne``, the latter of at least 4 clips."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method == "tsne":
        if len(features) < 4:
            raise ConfigError(f"--method tsne needs at least 4 clips, got {len(features)}")
        perplexity = min(30.0, (len(features) - 1) / 3)
        return np.asarray(TSNE(2, perplexity=perplexity, random_state=seed).fit_transform(features))
    size = min(2, *features.shape)
    with np.errstate(invalid="ignore"):  # a single clip has no variance and is put in the middle
        found = PCA(size, random_state=seed).fit_transform(features.astype(np.float64))
    return np.pad(found, ((0, 0), (0, 2 - size)))
