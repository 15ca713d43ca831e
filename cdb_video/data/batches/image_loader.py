"""Batches of small images, which are cropped and augmented as tensors on the device."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from cdb_video.data.batches.batch import Batch
from cdb_video.data.batches.loading import Loading, Training, sample_batches
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.colour import random_colours, with_colours
from cdb_video.data.frames.crops import (
    Crops,
    fixed_crop,
    flipped_classes,
    random_crops,
    sampling_affines,
)
from cdb_video.data.lists.records import Record, RecordTable
from cdb_video.data.samplers.base import Order
from cdb_video.errors import ConfigError

Images = npt.NDArray[np.uint8]
"""(N, 3, H, W) RGB."""

AUGMENTATION = 1
"""Third number of the seed of crops and colours: [seed, epoch] alone is the sampler's."""


class ImageLoader:
    """The batches of one rank, epoch after epoch, with the interface of ``ClipLoader``.

    A clip is one picture repeated ``num_frames`` times. The random choices for a training picture
    depend only on the seed, the epoch and its place in the epoch's order over all ranks.
    Evaluation yields every view of every picture exactly once over all ranks.

    Args:
        images: resized once so that their short side is ``loading.size``.
        records: of the images.
        loading: its device holds the images and the batches. There are no workers.
        training: the random choices; None for evaluation.
        views: evaluation yields each crop of a picture so many times, and so many crops (1 or 3)
            along its long side; (1, 1) in training.
    """

    def __init__(
        self,
        images: Images,
        records: Sequence[Record],
        loading: Loading,
        training: Training | None = None,
        views: tuple[int, int] = (1, 1),
    ) -> None:
        device = loading.device
        self._images = resized_images(images, loading.size).to(device)
        self._labels = torch.from_numpy(RecordTable.of(records).labels).to(device)
        self._num_frames, self._size = loading.sampling.num_frames, loading.size
        self._training = training
        if training is not None:
            _check(training.augmentation)
            pairs = training.augmentation.flip_labels
            self._mirrored = torch.from_numpy(flipped_classes(training.class_names, pairs)).to(
                device
            )
        self._spatial_crops = views[1]
        self._num_views = views[0] * views[1]
        self._places = sample_batches(len(records), loading, training, self._num_views)

    def __len__(self) -> int:
        """Number of batches in an epoch on this rank."""
        return len(self._places)

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """As in ``BatchLoader``."""
        order, seed, jitter = np.arange(len(self._labels)), 0, 0.0
        if self._training is not None:
            order, seed = self._training.sampler.indices(epoch), self._training.seed
            jitter = self._training.augmentation.color_jitter
        rng = np.random.default_rng([seed, epoch, AUGMENTATION])
        crops = self._crops(rng, len(order))
        colours = random_colours(jitter, rng, len(order))
        for places in self._places[first:]:
            # Evaluation has one crop for each view, training one for each place in the order.
            rows = places
            if self._training is None:
                rows = np.tile(np.arange(self._num_views), len(places))
            records = np.repeat(order[places], self._num_views)
            video, label, index, _ = self._batch(records, crops.at(rows))
            if jitter:
                video = with_colours(video, colours[places])
            yield Batch(video.expand(-1, -1, self._num_frames, -1, -1), label, index)

    def _batch(self, records: Order, crops: Crops) -> Batch:
        """Of one frame each."""
        device = self._images.device
        index = torch.from_numpy(records).to(device)
        label = self._labels[index]
        black = False
        if self._training is not None:
            black = self._training.augmentation.pad > 0
            flipped = torch.from_numpy(crops.flipped).to(device)
            label = torch.where(flipped, self._mirrored[label], label)
        pictures = cut_pictures(self._images[index], crops, self._size, black=black)
        return Batch(pictures.unsqueeze(2), label, index)

    def _crops(self, rng: np.random.Generator, num_samples: int) -> Crops:
        height, width = self._images.shape[2:]
        if self._training is not None:
            augmentation = self._training.augmentation
            return random_crops(height, width, self._size, augmentation, rng, num_samples)
        views = [
            fixed_crop(height, width, view % self._spatial_crops, self._spatial_crops)
            for view in range(self._num_views)
        ]
        return Crops(*(np.array(values) for values in zip(*views, strict=True)))


def _check(augmentation: Augmentation) -> None:
    """Raises ``ConfigError`` for augmentation that only works on decoded clips."""
    for name, off in (("aa_type", ""), ("re_prob", 0), ("num_sample", 1), ("drop_frames", 0)):
        if (given := getattr(augmentation, name)) != off:
            raise ConfigError(
                f"AUG.{name.upper()} must be {off!r} for images in memory, got {given!r}"
            )


def cut_pictures(
    pictures: torch.Tensor, crops: Crops, size: int, *, black: bool = False
) -> torch.Tensor:
    """The crop of each picture, (B, 3, H, W) -> (B, 3, size, size), all uint8.

    Interpolation is bilinear. Outside the picture is its reflection, or black with ``black``. Crops
    without scale or rotation are copied exactly.
    """
    unscaled = np.all(crops.width == size) and np.all(crops.height == size)
    if unscaled and not crops.degrees.any():
        return _copied(pictures, crops, size)
    affines = sampling_affines(crops, pictures.shape[2], pictures.shape[3])
    grid = F.affine_grid(
        torch.from_numpy(affines).float().to(pictures.device),
        [len(pictures), 3, size, size],
        align_corners=False,
    )
    mode = "zeros" if black else "reflection"
    sampled = F.grid_sample(pictures.float(), grid, padding_mode=mode, align_corners=False)
    return sampled.round_().clamp_(0, 255).byte()


def _copied(pictures: torch.Tensor, crops: Crops, size: int) -> torch.Tensor:
    height, width = pictures.shape[2:]
    left, top = crops.left, crops.top
    before = max(0, -int(min(left.min(), top.min())))
    after = max(0, int(max(left.max() + size - width, top.max() + size - height)))
    border = max(before, after)
    windows = F.pad(pictures, [border] * 4).unfold(2, size, 1).unfold(3, size, 1)
    row, column, flipped = (
        torch.from_numpy(values).to(pictures.device)
        for values in (top + border, left + border, crops.flipped)
    )
    cut_out = windows[torch.arange(len(pictures), device=pictures.device), :, row, column]
    return torch.where(flipped[:, None, None, None], cut_out.flip(3), cut_out)


def resized_images(images: Images, size: int) -> torch.Tensor:
    """``images`` whose short side is ``size``, resized if necessary."""
    height, width = images.shape[2:]
    scale = size / min(height, width)
    if scale == 1:
        return torch.from_numpy(np.require(images, requirements="W"))
    shape = (round(width * scale), round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.empty((len(images), shape[1], shape[0], 3), np.uint8)
    for picture, target in zip(images.transpose(0, 2, 3, 1), out, strict=True):
        cv2.resize(np.ascontiguousarray(picture), shape, target, interpolation=interpolation)
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()
