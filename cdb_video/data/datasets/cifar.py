"""CIFAR-10 and CIFAR-100: 32 x 32 colour images of 10 or 100 kinds of things."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cdb_video.data.cifar_batches import read_binary, read_pickle
from cdb_video.data.small_images import Archive, SmallImages, SubsetOptions
from cdb_video.registry import DATASETS


class Cifar(SmallImages):
    """Reads the Python or the binary batches, whichever are all there, from the root or from the
    folder that the official archives unpack to. Pickles cannot run code."""

    folders: ClassVar[tuple[str, ...]]
    """Where the batches may lie below the root."""
    label_key: ClassVar[str]
    """Key of the labels in a Python batch."""
    num_label_bytes: ClassVar[int]
    """Labels of an image in a binary batch; the last counts."""
    batches: ClassVar[dict[str, tuple[str, ...]]]
    """Names of the files of each part in the Python form; the binary ones end in ``.bin``."""

    def read_archive(self, part: Literal["train", "test"]) -> Archive:
        names = self.batches[part]
        binary_names = tuple(f"{name}.bin" for name in names)
        if paths := self._find(names):
            batches = [(path, *read_pickle(path, self.label_key)) for path in paths]
        elif paths := self._find(binary_names):
            batches = [(path, *read_binary(path, self.num_label_bytes)) for path in paths]
        else:
            raise self.missing(
                f"{self.root} must hold {', '.join(names)}, or {', '.join(binary_names)}"
            )
        return Archive.join(batches, len(self.all_classes))

    def _find(self, names: tuple[str, ...]) -> list[Path]:
        """The files of the first folder that has all of them; empty if none has."""
        for folder in self.folders:
            paths = [self.root / folder / name for name in names]
            if all(path.is_file() for path in paths):
                return paths
        return []


@DATASETS.register("cifar10")
class Cifar10(Cifar):
    """CIFAR-10: small colour images of 10 classes.

    ``data_batch_1`` to ``data_batch_5`` and ``test_batch``, the binary ones with ``.bin``.
    """

    @dataclass(frozen=True)
    class Options(SubsetOptions):
        """Where CIFAR-10 lies, and which of its images are used."""

        root: str = "datasets/cifar10"
        """Folder that holds the batches, or ``cifar-10-batches-py`` or ``-bin``."""

    all_classes = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    content = "CIFAR-10's batches, Python or binary"
    command = "python tools/get_data.py cifar10"
    folders = ("", "cifar-10-batches-py", "cifar-10-batches-bin")
    label_key = "labels"
    num_label_bytes = 1
    batches: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test": ("test_batch",),
    }


@DATASETS.register("cifar100")
class Cifar100(Cifar):
    """CIFAR-100: small colour images of 100 classes, the fine labels.

    ``train`` and ``test``, the binary ones with ``.bin``.
    """

    @dataclass(frozen=True)
    class Options(SubsetOptions):
        """Where CIFAR-100 lies, and which of its images are used."""

        root: str = "datasets/cifar100"
        """Folder that holds the batches, or ``cifar-100-python`` or ``-binary``."""

    all_classes = tuple(
        name
        for line in (
            "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge",
            "bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud",
            "cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox",
            "girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man",
            "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree",
            "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray",
            "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel",
            "streetcar sunflower sweet_pepper table tank telephone television tiger tractor train",
            "trout tulip turtle wardrobe whale willow_tree wolf woman worm",
        )
        for name in line.split()
    )
    content = "CIFAR-100's batches, Python or binary"
    command = "python tools/get_data.py cifar100"
    folders = ("", "cifar-100-python", "cifar-100-binary")
    label_key = "fine_labels"
    num_label_bytes = 2
    batches: ClassVar[dict[str, tuple[str, ...]]] = {"train": ("train",), "test": ("test",)}
