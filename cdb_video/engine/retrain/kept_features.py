"""The features of a split, computed once and stored in OUTPUT_DIR/features."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from rich.console import Console

from cdb_video.config.tree import dump
from cdb_video.data.lists.records import Record
from cdb_video.data.lists.splits import Splits
from cdb_video.engine.evaluate.features import compute_features
from cdb_video.engine.evaluate.quarantine import Quarantine
from cdb_video.engine.prepare.data import make_eval_loader, tolerated
from cdb_video.errors import DataError
from cdb_video.models import Classifier
from cdb_video.options import Config
from cdb_video.output.run_folder import RunFolder
from cdb_video.system.files import replacing


class Features(NamedTuple):
    """The features of a split's N records in their V views, on the CPU."""

    features: torch.Tensor
    """(N, V, F) float32; 0 for a clip that is not valid."""
    labels: torch.Tensor
    """(N,) int64."""
    valid: torch.Tensor
    """(N,) bool: whether every view could be decoded."""

    @property
    def first_views(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(M, F) features of the first view of valid clips, and (M,) their labels."""
        return self.features[self.valid, 0], self.labels[self.valid]


def split_features(
    config: Config,
    splits: Splits,
    split: str,
    model: Classifier,
    checkpoint: str,
    epoch: int,
    screen: Console,
) -> Features:
    """The features of a split: from OUTPUT_DIR/features if they exist, else computed.

    The clips are those of evaluation: one view, or all views of TEST in the test split. Features of
    another checkpoint, or of other clips, views or options, are computed again.

    Args:
        model: the whole classifier, loaded from the checkpoint.
        checkpoint: the SHA-256 of the checkpoint's file.
        epoch: of the checkpoint.

    Raises:
        DataError: a clip is missing and its features are not stored.
        DecodeError: a clip cannot be decoded.
    """
    views = (1, 1)
    if split == "test":
        views = (config.test.num_ensemble_views, config.test.num_spatial_crops)
    path = RunFolder(config.output_dir).features(split)
    fingerprint = _fingerprint(config, splits[split].records, model, views, checkpoint)
    kept = _read(path, fingerprint)
    if kept is not None:
        screen.print(f"{split} features are in {path} already")
        return kept
    splits.check_files(split, max_bad_fraction=tolerated(config))
    device = next(model.parameters()).device
    loader = make_eval_loader(config, splits, split, device, views)
    quarantine = Quarantine(
        RunFolder(config.output_dir),
        splits,
        config.data.decoder,
        config.data.max_bad_fraction,
        screen,
    )
    see = partial(quarantine.see, split)
    indices, computed = compute_features(model, loader, f"{split} features", screen, see)
    quarantine.tell(split, epoch)
    labels = torch.from_numpy(splits.labels(split))
    content = _by_record(indices, computed, labels, views[0] * views[1])
    with replacing(path) as unfinished:
        metadata = {"fingerprint": fingerprint}
        safetensors.torch.save_file(content._asdict(), unfinished, metadata=metadata)
    return content


def _by_record(
    indices: torch.Tensor, computed: torch.Tensor, labels: torch.Tensor, num_views: int
) -> Features:
    """Sorts the features of samples (S, F) by their records ``indices`` (S,)."""
    valid = torch.bincount(indices, minlength=len(labels)) == num_views
    if not valid.any():
        raise DataError(f"none of the {len(labels)} clips can be decoded")
    features = torch.zeros(len(labels), num_views, computed.shape[1])
    features[valid] = computed[valid[indices]].view(-1, num_views, computed.shape[1])
    return Features(features, labels, valid)


def _fingerprint(
    config: Config,
    records: Sequence[Record],
    model: Classifier,
    views: tuple[int, int],
    checkpoint: str,
) -> str:
    """A text that differs if the features would differ."""
    parts_of_it = (
        checkpoint,
        dump(config.data),
        config.model.name,
        dump(config.model.options),
        f"{model.normalisation} {views} {model.precision}",
        *(repr(tuple(record)) for record in records),
    )
    return hashlib.sha256("\n".join(parts_of_it).encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path, fingerprint: str) -> Features | None:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("fingerprint") != fingerprint:
                return None
            return Features(*(file.get_tensor(name) for name in Features._fields))
    except (OSError, safetensors.SafetensorError):  # missing or damaged: computed again
        return None
