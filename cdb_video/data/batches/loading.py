"""How a split is loaded: the content of a batch, the random choices, the share of each process."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cdb_video.data.decode.decoding import Decoding
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.samplers.base import Order, Sampler, rank_batches


@dataclass(frozen=True)
class Share:
    """This process's share of the work, and its number of workers."""

    rank: int = 0
    """Position of this process among all."""
    world_size: int = 1
    """Number of processes."""
    num_workers: int = 0
    """Processes that decode for this one; 0 decodes in this one."""
    pin_memory: bool = False
    """Put batches into page-locked memory, for overlapping copies to a GPU."""
    timeout: float = 0.0
    """Seconds to wait for a batch before giving up; 0 waits forever."""
    clip_timeout: float = 0.0
    """Seconds that a worker may take for one clip; 0 is no limit."""
    clip_memory: int = 0
    """Bytes that a worker may come to hold beyond those it starts with; 0 is no limit."""


ALONE = Share()


@dataclass(frozen=True, kw_only=True)
class Loading:
    """The content of batches, and their device."""

    sampling: ClipSampling
    """Which frames make up a clip; ``sampling.num_frames`` is T."""
    size: int
    """Height and width S of the output, in pixels."""
    batch_size: int
    """Samples a batch on this process; the last batch may be smaller."""
    decoding: Decoding = Decoding()
    """How files are decoded."""
    tolerant: bool = False
    """Whether a clip that cannot be decoded is replaced (training) or left out (evaluation), and
    told in its batch, instead of being an error."""
    share: Share = ALONE
    """The part of this process."""
    device: torch.device = torch.device("cpu")
    """Where images in memory lie; clips that are decoded come on the CPU."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The random choices of training. Without it, clips are the fixed ones of evaluation."""

    sampler: Sampler
    """Gives the order of each epoch."""
    augmentation: Augmentation
    """Random changes to clips."""
    class_names: Sequence[str]
    """(K,) names that ``augmentation.flip_labels`` refers to."""
    seed: int
    """Of the run."""


def sample_batches(
    num_records: int, loading: Loading, training: Training | None, num_views: int
) -> list[Order]:
    """The places in the epoch's order that make up each batch of this process; see
    ``rank_batches``. All views of a record are in one batch."""
    return rank_batches(
        num_records if training is None else len(training.sampler),
        batch_size=max(1, loading.batch_size // num_views),
        rank=loading.share.rank,
        world_size=loading.share.world_size,
        training=training is not None,
    )
