"""Your own images: one folder for each split, with one folder for each class in it."""

import os
from dataclasses import dataclass
from pathlib import Path

from cdb_video.data.datasets.base import SPLITS, LabelledClips
from cdb_video.data.lists.lines import composed
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS
from cdb_video.system.file_kinds import is_image


@DATASETS.register("image_folder")
class ImageFolder(LabelledClips):
    """Your own images, in a folder for each class: ``ROOT/{train,val,test}/<class>/<image>``.

    The classes are the folders of ``train`` in alphabetical order. A class may have no image in a
    split. Other files, and what begins with a dot, are passed over.
    """

    @dataclass(frozen=True)
    class Options:
        """Where the images lie."""

        root: str = "datasets/images"
        """Folder that holds ``train``, ``val`` and ``test``."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not self.root.is_dir():
            raise DataError(f"no folder {self.root}: it should hold {', '.join(SPLITS)}")
        folder = self._folder("train")
        self.class_names = sorted(
            {self._class_of(folder / n) for n in _visible(folder, folders=True)}
        )
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def _folder(self, split: str) -> Path:
        path = self.root / split
        if not path.is_dir():
            raise DataError(f"no folder {path}: it should hold a folder of images for each class")
        return path

    @staticmethod
    def _class_of(folder: Path) -> str:
        try:
            return composed(folder.name)
        except ValueError as error:
            raise DataError(f"{folder.parent}: {error}") from None

    def _read(self, split: str) -> list[Record]:
        folder = self._folder(split)
        records = []
        for name in _visible(folder, folders=True):
            label = self._label_of.get(self._class_of(folder / name))
            if label is None:
                raise DataError(f"{folder / name}: train has no class of this name")
            records += [
                Record(str(folder / name / image), label)
                for image in _visible(folder / name, folders=False)
                if is_image(image)
            ]
        return records


def _visible(folder: Path, *, folders: bool) -> list[str]:
    """Names of the folders or of the files in a folder, sorted."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir() == folders and not entry.name.startswith(".")
        )
