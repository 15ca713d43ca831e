"""The loader of a split: from files, or from memory."""

from cdb_video.data.batches.batch import BatchLoader
from cdb_video.data.batches.clip_loader import ClipLoader
from cdb_video.data.batches.image_loader import ImageLoader
from cdb_video.data.batches.loading import Loading, Training
from cdb_video.data.lists.splits import Split


def make_loader(
    split: Split,
    loading: Loading,
    training: Training | None = None,
    views: tuple[int, int] = (1, 1),
) -> BatchLoader:
    """Random clips in the sampler's order, or every view of every record once.

    Args:
        views: temporal and spatial, of each record; without ``training``.
    """
    if split.images is None:
        return ClipLoader(split.records, loading, training, views)
    return ImageLoader(split.images, split.records, loading, training, views)
