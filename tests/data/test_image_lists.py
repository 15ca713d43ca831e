"""The benchmarks that lists of ``path label`` make, and folders of images."""

import cv2
import numpy as np
import pytest

from cdb_video.data.lists.records import Record
from cdb_video.data.lists.splits import Splits
from cdb_video.errors import DataError
from cdb_video.registry import DATASETS

LISTS = {
    "imagenet_lt": ("ImageNet_LT_train.txt", "ImageNet_LT_val.txt", "ImageNet_LT_test.txt"),
    "places_lt": ("Places_LT_train.txt", "Places_LT_val.txt", "Places_LT_test.txt"),
    "inaturalist": ("iNaturalist18_train.txt", None, "iNaturalist18_val.txt"),
}
TRAIN = "train/n02/a.JPEG 1\ntrain/n01/b c.JPEG 0\ntrain/n02/d.JPEG 1\n"


def read(root, train=TRAIN, name="imagenet_lt", *, val=None, test=None):
    """A data set with these lists."""
    for list_name, text in zip(LISTS[name], (train, val, test), strict=True):
        if text is not None:
            (root / list_name).write_text(text)
    kind = DATASETS.get(name)
    return kind(kind.Options(root=str(root)))


def write_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((8, 8, 3), 100, np.uint8))


@pytest.mark.parametrize("name", LISTS)
def test_lines_become_records_relative_to_the_root(tmp_path, name):
    dataset = read(tmp_path, name=name, test="val/e.JPEG 1\n")
    assert dataset.class_names == ["n01", "n02"]
    assert dataset.records("train") == [
        Record(str(tmp_path / "train/n02/a.JPEG"), 1),
        Record(str(tmp_path / "train/n01/b c.JPEG"), 0),
        Record(str(tmp_path / "train/n02/d.JPEG"), 1),
    ]
    assert dataset.records("test") == [Record(str(tmp_path / "val/e.JPEG"), 1)]
    assert dataset.split("train").images is None


@pytest.mark.parametrize(
    ("train", "names"),
    [
        ("a/x/in/1.jpg 0\na/x/out/2.jpg 1\na/y/3.jpg 2\n", ["x/in", "x/out", "y"]),
        ("x/1.jpg 0\nz/2.jpg 2\n", ["x", "1", "z"]),
        ("x/1.jpg 0\nx/2.jpg 1\n", ["0", "1"]),
        ("x/1.jpg 0\ny/2.jpg 0\nz/3.jpg 1\n", ["0", "1"]),
        ("x/1.jpg 0\n2.jpg 1\n", ["0", "1"]),
        ("x/1.jpg 0\n", ["0"]),
    ],
    ids=["nested", "gap", "shared", "several", "at the top", "single"],
)
def test_classes_are_named_after_folders_where_each_has_its_own(tmp_path, train, names):
    assert read(tmp_path, train).class_names == names


def test_a_class_may_have_no_image(tmp_path):
    dataset = read(tmp_path, "x/1.jpg 0\nz/2.jpg 2\n")
    counts = Splits(dataset, ["train"]).counts("train")
    assert counts.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg", "expected 'path label' with a class number from 0"),
        ("a.jpg one", "expected 'path label'"),
        ("a.jpg -1", "expected 'path label'"),
        ("a.jpg 100000", "the label must be below 100000, got 100000"),
        ("../a.jpg 1", "the path must lie under"),
        ("/etc/passwd 1", "the path must lie under"),
    ],
)
def test_a_wrong_line_is_named_with_its_place(tmp_path, line, message):
    with pytest.raises(DataError, match=rf"ImageNet_LT_train\.txt:2: {message}") as caught:
        read(tmp_path, f"x/b.jpg 0\n{line}\n")
    assert "\n" not in str(caught.value)


def test_a_label_that_training_lacks_is_an_error(tmp_path):
    dataset = read(tmp_path, val="val/e.JPEG 2\n")
    with pytest.raises(DataError, match=r"val\.txt:1: the label must be below 2, got 2"):
        dataset.records("val")


@pytest.mark.parametrize("name", LISTS)
def test_a_missing_list_is_named_with_the_command_that_tells_more(tmp_path, name):
    kind = DATASETS.get(name)
    with pytest.raises(DataError, match=rf"{LISTS[name][0]}.*; cdb-video get-data {name}"):
        kind(kind.Options(root=str(tmp_path)))
    with pytest.raises(DataError, match=rf"no file .*{LISTS[name][2]}"):
        read(tmp_path, name=name).records("test")
    with pytest.raises(DataError, match=r"train\.txt lists no images"):
        read(tmp_path, "\n", name=name)


def test_inaturalists_validation_images_are_for_testing_only(tmp_path):
    dataset = read(tmp_path, name="inaturalist", test="train/n01/b c.JPEG 0\n")
    assert len(dataset.records("test")) == 1
    with pytest.raises(DataError, match="there is no val list: name one in VAL"):
        dataset.records("val")
    (tmp_path / "mine.txt").write_text("train/n02/d.JPEG 1\n")
    kind = DATASETS.get("inaturalist")
    mine = kind(kind.Options(root=str(tmp_path), val="mine.txt"))
    assert mine.records("val") == [Record(str(tmp_path / "train/n02/d.JPEG"), 1)]


def test_listed_images_must_be_there(tmp_path):
    dataset = read(tmp_path)
    for name in ("train/n02/a.JPEG", "train/n01/b c.JPEG"):
        write_picture((tmp_path / name).with_suffix(".png"))
        (tmp_path / name).with_suffix(".png").rename(tmp_path / name)
    with pytest.raises(DataError, match=r"1 of 3 clips are missing under .*: train/n02/d\.JPEG"):
        dataset.check_files(dataset.records("train"))


@pytest.fixture
def folders(tmp_path):
    """Two classes, of which one has no validation image."""
    for name in ("train/b/2.png", "train/b/10.JPG", "train/a/1.jpeg", "val/b/3.bmp"):
        write_picture(tmp_path / name)
    (tmp_path / "val/a").mkdir()
    (tmp_path / "train/a/notes.txt").touch()
    (tmp_path / "train/.cache").mkdir()
    (tmp_path / "train/readme.md").touch()
    return tmp_path


def image_folder(root):
    kind = DATASETS.get("image_folder")
    return kind(kind.Options(root=str(root)))


def test_folders_are_classes_in_alphabetical_order(folders):
    dataset = image_folder(folders)
    assert dataset.class_names == ["a", "b"]
    assert dataset.records("train") == [
        Record(str(folders / "train/a/1.jpeg"), 0),
        Record(str(folders / "train/b/10.JPG"), 1),
        Record(str(folders / "train/b/2.png"), 1),
    ]
    assert dataset.records("val") == [Record(str(folders / "val/b/3.bmp"), 1)]
    dataset.check_files(dataset.records("train"))


def test_folders_that_do_not_fit_are_one_line(folders):
    dataset = image_folder(folders)
    with pytest.raises(DataError, match=r"no folder .*test: it should hold a folder of images"):
        dataset.records("test")
    (folders / "val/c").mkdir()
    with pytest.raises(DataError, match=r"val.c: train has no class of this name"):
        dataset.records("val")
    with pytest.raises(DataError, match=r"no folder .*val.train"):
        image_folder(folders / "val")
