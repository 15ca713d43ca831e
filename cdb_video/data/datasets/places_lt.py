"""Places-LT (Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019)."""

from dataclasses import dataclass

from cdb_video.data.datasets.image_lists import ImageLists
from cdb_video.data.datasets.list_options import ListOptions
from cdb_video.registry import DATASETS


@DATASETS.register("places_lt")
class PlacesLT(ImageLists):
    """Places-LT: scenes of 365 classes, 5 to 4,980 training images each."""

    @dataclass(frozen=True)
    class Options(ListOptions):
        """Where Places-LT lies."""

        root: str = "datasets/places_lt"
        """Folder that holds the lists and the folders of Places365 that they name."""

        train: str = "Places_LT_train.txt"
        val: str = "Places_LT_val.txt"
        test: str = "Places_LT_test.txt"

    command = "cdb-video get-data places_lt"
