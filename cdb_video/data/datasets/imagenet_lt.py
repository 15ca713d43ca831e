"""ImageNet-LT (Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019)."""

from dataclasses import dataclass

from cdb_video.data.datasets.image_lists import ImageLists
from cdb_video.data.datasets.list_options import ListOptions
from cdb_video.registry import DATASETS


@DATASETS.register("imagenet_lt")
class ImageNetLT(ImageLists):
    """ImageNet-LT: photographs of 1,000 classes, 5 to 1,280 training images each.

    115,846 training images; 20 and 50 a class to validate and to test.
    """

    @dataclass(frozen=True)
    class Options(ListOptions):
        """Where ImageNet-LT lies."""

        root: str = "datasets/imagenet_lt"
        """Folder that holds ImageNet's folders ``train`` and ``val``, and the lists."""

        train: str = "ImageNet_LT_train.txt"
        val: str = "ImageNet_LT_val.txt"
        test: str = "ImageNet_LT_test.txt"

    command = "cdb-video get-data imagenet_lt"
