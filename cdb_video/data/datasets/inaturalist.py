"""iNaturalist 2018 (Van Horn et al., "The iNaturalist Species Classification and Detection
Dataset", CVPR 2018)."""

from dataclasses import dataclass

from cdb_video.data.datasets.image_lists import ImageLists
from cdb_video.data.datasets.list_options import TestedOnValidation
from cdb_video.registry import DATASETS


@DATASETS.register("inaturalist")
class INaturalist(ImageLists):
    """iNaturalist 2018: 437,513 training images of 8,142 species.

    The labels of its test images are not public, so papers report accuracy on its validation
    images. Here these are the test split only: a model must not be chosen on its test data.
    """

    @dataclass(frozen=True)
    class Options(TestedOnValidation):
        """Where iNaturalist lies."""

        root: str = "datasets/inaturalist"
        """Folder that holds ``train_val2018`` and the lists."""

        train: str = "iNaturalist18_train.txt"
        test: str = "iNaturalist18_val.txt"

    command = "cdb-video get-data inaturalist"
