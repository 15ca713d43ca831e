"""A dataset whose images come in one piece, for tests; ``IMPORTS: [in_memory]`` registers it."""

from dataclasses import dataclass

import numpy as np

from cdb_video.data.datasets.base import ImagesInMemory
from cdb_video.data.lists.records import Record
from cdb_video.registry import DATASETS

COLOURS = np.array([(30, 40, 210), (30, 200, 40), (210, 40, 30)])


@DATASETS.register("in_memory")
class InMemory(ImagesInMemory):
    """Noisy 12 x 12 pictures, each in the colour of its class; no file anywhere."""

    @dataclass(frozen=True)
    class Options:
        """What every dataset has."""

        root: str = "nowhere"
        """A folder that need not exist."""

    class_names = ["blue", "green", "red"]

    def _read(self, split):
        labels = np.repeat([0, 1, 2], {"train": (6, 3, 2)}.get(split, (3, 2, 2)))
        return [Record(f"{split}, {n}", int(label)) for n, label in enumerate(labels)]

    def images(self, split):
        colours = COLOURS[[record.label for record in self.records(split)]][:, :, None, None]
        noise = np.random.default_rng(0).integers(-25, 26, (len(colours), 3, 12, 12))
        return (colours + noise).astype(np.uint8)
