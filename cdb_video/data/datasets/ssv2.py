"""Something-Something v2 (Goyal et al., ICCV 2017): the official JSON lists."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdb_video.data.datasets.base import LabelledClips
from cdb_video.data.datasets.class_files import read_class_names
from cdb_video.data.datasets.list_options import TestedOnValidation
from cdb_video.data.lists.lines import opened
from cdb_video.data.lists.records import Record
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS


@DATASETS.register("ssv2")
class SomethingSomethingV2(LabelledClips):
    """Something-Something v2: 220,847 clips of 174 things done with objects, from the JSON lists.

    The class is the ``template`` of an entry, without its square brackets. Left and right matter:
    never flip. The official test list has no labels, so papers report on the validation list. TEST
    names that list; without a validation list of your own there is no validation.
    """

    @dataclass(frozen=True)
    class Options(TestedOnValidation):
        """Where the clips and their lists lie."""

        root: str = "datasets/ssv2"
        train: str = "something-something-v2-train.json"
        """The training list. Newer archives call it labels/train.json."""

        test: str = "something-something-v2-validation.json"
        """The list to test on."""

        labels: str = "something-something-v2-labels.json"
        """File with the numbers of the classes, {template: number}."""

        videos: str = "20bn-something-something-v2"
        """Folder of the clips, whose names are their ids."""

        suffix: str = ".webm"
        """Ending of the clips' names. Empty means folders of images."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.options = options
        self._must_hold(f"{options.train}, {options.labels} and {options.videos}")
        self.class_names = read_class_names(self.root / options.labels)
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def _read(self, split: str) -> list[Record]:
        name = getattr(self.options, split)
        if not name:
            raise DataError(f"there is no {split} list: name one in {split.upper()}")
        path = self.root / name
        with opened(path) as file:
            try:
                entries = json.load(file)
            except ValueError as error:
                raise DataError(f"{path} must be JSON: {error}") from None
        if not isinstance(entries, list):
            raise DataError(f"{path} must be a list of clips, got {type(entries).__name__}")
        return [self._record(path, number, entry) for number, entry in enumerate(entries)]

    def _record(self, path: Path, number: int, entry: Any) -> Record:
        where = f"{path}, entry {number}"
        if not isinstance(entry, dict) or "id" not in entry:
            raise DataError(f"{where} must have an id and a template, got {entry!r:.100}")
        if "template" not in entry:
            raise DataError(f"{where} has no template, as in the official test list: no labels")
        template = str(entry["template"]).replace("[", "").replace("]", "")
        label = self._label_of.get(template)
        if label is None:
            raise DataError(f"{where}: {self.options.labels} does not have {template!r:.100}")
        try:
            place = f"{self.options.videos}/{entry['id']}{self.options.suffix}"
            return Record(self.path_of(place), label)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
