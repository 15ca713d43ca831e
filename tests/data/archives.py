"""Writes small archives of images in the forms in which MNIST and CIFAR are given away, and a
small example of every dataset."""

import gzip
import struct

import numpy as np
from video_lists import (
    make_epic,
    make_hmdb51,
    make_kinetics,
    make_list,
    make_shards,
    make_ssv2,
    make_ucf101,
)


def pictures(labels, channels, size, seed=0):
    """Random pictures (N, channels, size, size), one for each label."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (len(labels), channels, size, size), dtype=np.uint8)


def idx(array):
    """The bytes of an IDX file."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(root, train, test=tuple(range(10)), compressed=True):
    """IDX files with these labels; returns the pictures of each part, (N, 1, 28, 28)."""
    root.mkdir(parents=True, exist_ok=True)
    written = {}
    for seed, (part, prefix) in enumerate((("train", "train"), ("test", "t10k"))):
        labels = np.array(train if part == "train" else test)
        written[part] = pictures(labels, 1, 28, seed)
        for name, array in (
            ("images-idx3", written[part][:, 0]),
            ("labels-idx1", labels),
        ):
            path = root / f"{prefix}-{name}-ubyte"
            if compressed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx(array), 1))
            else:
                path.write_bytes(idx(array))
    return written


def cifar_rows(images, *labels):
    """The bytes of a binary batch: the labels of an image, then its values."""
    columns = [np.asarray(column, np.uint8)[:, None] for column in labels]
    return np.concatenate([*columns, images.reshape(len(images), -1)], axis=1).tobytes()


def write_cifar(root, batches, num_classes, *, coarse=False):
    """Binary batches with these names, two images of each class in all of them."""
    for name in batches:
        labels = np.tile(np.arange(num_classes), 2)
        images = pictures(labels, 3, 32)
        (root / name).write_bytes(cifar_rows(images, *([labels // 5] if coarse else []), labels))


def write_lists(root, *names):
    """Text files, ``ROOT/name.txt``, with one line for each of two images of two classes."""
    for name in names:
        lines = [f"{name}/{label}/{number}.jpg {label}" for label in (0, 1) for number in (0, 1)]
        (root / f"{name}.txt").write_text("\n".join(lines))


def write_clips(root):
    for split in ("train", "val", "test"):
        (root / f"{split}.csv").write_text(f"path,label\n{split}/a.mp4,x\n{split}/b.mp4,y\n")


def write_egtea(root):
    (root / "cropped_clips").mkdir()
    (root / "action_annotation").mkdir()
    for name, text in {
        "verb_idx": "Take 1\nPut 2",
        "train_split1": "P01-R01-Dish-1-2-F1-F2 1 1 1\nP20-R01-Dish-1-2-F1-F2 2 2 1",
        "test_split1": "P02-R01-Dish-1-2-F1-F2 2 2 1",
    }.items():
        (root / "action_annotation" / f"{name}.txt").write_text(text)


def write_folders(root):
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            (root / split / name / "1.png").touch()


TWICE = tuple(range(10)) * 2
WRITERS = {
    "cifar10": lambda root: write_cifar(
        root, [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"], 10
    ),
    "cifar100": lambda root: write_cifar(root, ["train.bin", "test.bin"], 100, coarse=True),
    "clips": write_clips,
    "egtea": write_egtea,
    "epic_kitchens": make_epic,
    "fashion_mnist": lambda root: write_mnist(root, TWICE),
    "hmdb51": make_hmdb51,
    "image_folder": write_folders,
    "imagenet_lt": lambda root: write_lists(
        root, "ImageNet_LT_train", "ImageNet_LT_val", "ImageNet_LT_test"
    ),
    "inaturalist": lambda root: write_lists(
        root, "iNaturalist18_train", "mine", "iNaturalist18_val"
    ),
    "kinetics": make_kinetics,
    "list": make_list,
    "mnist": lambda root: write_mnist(root, TWICE),
    "places_lt": lambda root: write_lists(
        root, "Places_LT_train", "Places_LT_val", "Places_LT_test"
    ),
    "ssv2": make_ssv2,
    "ucf101": make_ucf101,
    "webdataset": make_shards,
}
"""Dataset -> what writes an example of it, without the files of clips and single images."""
OPTIONS = {
    **dict.fromkeys(("mnist", "fashion_mnist", "cifar10", "cifar100"), {"val_per_class": 1}),
    "epic_kitchens": {"val": "annotations/own_val.csv"},
    "inaturalist": {"val": "mine.txt"},
    "ssv2": {"val": "own-val.json"},
}
"""Dataset -> options that the example needs."""
