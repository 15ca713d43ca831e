"""MNIST and CIFAR: every form on disk, and which images an imbalanced set is made of."""

import gzip
import pickle

import numpy as np
import pytest
from archives import cifar_rows, idx, pictures, write_mnist

from cdb_video.errors import ConfigError, DataError
from cdb_video.registry import DATASETS

Mnist, Cifar10, Cifar100 = (DATASETS.get(name) for name in ("mnist", "cifar10", "cifar100"))
MIXED = tuple(np.random.default_rng(3).permutation(np.repeat(np.arange(10), 30)))
"""30 training labels of each digit."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """(root, pictures written) of an MNIST with 30 training and 1 test images of each digit."""
    root = tmp_path_factory.mktemp("digits")
    return root, write_mnist(root, MIXED)


def mnist(root, **options):
    return Mnist(Mnist.Options(root=str(root), **{"val_per_class": 5, **options}))


def numbers(dataset, split="train"):
    """Position of each record in the files of its part."""
    return [int(record.path.split("#")[1]) for record in dataset.records(split)]


def labels(dataset, split="train"):
    return [record.label for record in dataset.records(split)]


def rows_of(label):
    """Positions of a digit in the training files."""
    return [number for number, other in enumerate(MIXED) if other == label]


def sizes(dataset, split="train"):
    return np.bincount(labels(dataset, split), minlength=len(dataset.class_names)).tolist()


# Forms on disk


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
def test_idx_files_are_found_compressed_or_not(tmp_path, compressed, folder):
    written = write_mnist(tmp_path / folder, MIXED, compressed=compressed)
    dataset = mnist(tmp_path, val_per_class=0)
    assert dataset.class_names == list("0123456789")
    for split in ("train", "test"):
        images = dataset.images(split)
        assert images.dtype == np.uint8
        expected = written[split][numbers(dataset, split)].repeat(3, axis=1)
        np.testing.assert_array_equal(images, expected)
    assert sorted(numbers(dataset)) == list(range(300))
    assert labels(dataset) == [MIXED[number] for number in numbers(dataset)]


def test_the_names_with_a_dot_are_known_too(digits, tmp_path):
    for path in digits[0].iterdir():
        (tmp_path / path.name.replace("-idx", ".idx")).write_bytes(path.read_bytes())
    assert numbers(mnist(tmp_path)) == numbers(mnist(digits[0]))


def test_kerass_file_is_read(digits, tmp_path):
    written = digits[1]
    np.savez(
        tmp_path / "mnist.npz",
        x_train=written["train"][:, 0],
        y_train=np.array(MIXED),
        x_test=written["test"][:, 0],
        y_test=np.arange(10),
    )
    ours, theirs = mnist(digits[0]), mnist(tmp_path)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(ours.images(split), theirs.images(split))
        assert labels(ours, split) == labels(theirs, split)


def test_fashion_mnist_has_names_for_its_classes(digits):
    kind = DATASETS.get("fashion_mnist")
    dataset = kind(kind.Options(root=str(digits[0]), classes=(9, 0)))
    assert dataset.class_names == ["Ankle boot", "T-shirt/top"]


@pytest.fixture
def coloured():
    """Five CIFAR-10 batches and a test batch: name -> (images, labels)."""
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    tens = np.random.default_rng(0).permuted(np.tile(np.arange(10), (6, 1)), axis=1)
    return {
        name: (pictures(tens[seed], 3, 32, seed), tens[seed]) for seed, name in enumerate(names)
    }


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "."])
def test_cifar10_batches(tmp_path, coloured, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    for name, (images, tens) in coloured.items():
        (tmp_path / folder / f"{name}.bin").write_bytes(cifar_rows(images, tens))
    dataset = Cifar10(Cifar10.Options(root=str(tmp_path), val_per_class=0))
    assert dataset.class_names[3] == "cat"
    assert sizes(dataset) == [5] * 10
    assert sizes(dataset, "test") == [1] * 10
    records = dataset.records("train") + dataset.records("test")
    images = np.concatenate([dataset.images("train"), dataset.images("test")])
    for record, image in zip(records, images, strict=True):
        path, number = record.path.split("#")
        written, tens = coloured[path.split("/")[-1].removesuffix(".bin")]
        assert tens[int(number)] == record.label
        np.testing.assert_array_equal(image, written[int(number)])


def test_cifar100_has_the_fine_labels(tmp_path):
    fine = np.random.default_rng(0).permutation(100)
    images = pictures(fine, 3, 32)
    for part in ("train", "test"):
        (tmp_path / f"{part}.bin").write_bytes(cifar_rows(images, fine // 5, fine))
    dataset = Cifar100(Cifar100.Options(root=str(tmp_path), val_per_class=0))
    assert len(set(dataset.class_names)) == 100
    assert dataset.class_names == sorted(dataset.class_names)
    assert labels(dataset) == list(range(100))
    np.testing.assert_array_equal(dataset.images("train"), images[np.argsort(fine)])


# Hostile and damaged files


class Creates:
    """A pickle of this makes the file when it is read by ``pickle.load``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_python_batches_are_not_read(tmp_path):
    """They are pickles, and the message says what to get instead."""
    canary = tmp_path / "canary"
    hostile = pickle.dumps({b"data": Creates(canary), b"fine_labels": [1]})
    for part in ("train", "test"):
        (tmp_path / part).write_bytes(hostile)
    dataset = Cifar100(Cifar100.Options(root=str(tmp_path)))
    with pytest.raises(DataError, match=r"the binary batches train\.bin .*get-data cifar100"):
        dataset.records("train")
    assert not canary.exists()
    pickle.loads(hostile)  # it would have
    assert canary.exists()


def test_a_damaged_binary_batch_is_one_line(tmp_path):
    rows = cifar_rows(pictures([1, 2], 3, 32), [0, 0], [1, 100])
    dataset = Cifar100(Cifar100.Options(root=str(tmp_path)))
    (tmp_path / "train.bin").write_bytes(rows[:-1])
    with pytest.raises(DataError, match=r"train\.bin: must have a multiple of 3074 .* got 6147"):
        dataset.records("train")
    (tmp_path / "train.bin").write_bytes(rows)
    with pytest.raises(DataError, match=r"train\.bin: a label must be in \[0, 100\), got 100"):
        dataset.records("train")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"\x1f\x8b\x08", gzip.compress(b""), r"images-idx3-ubyte\.gz: cannot be read"),
        (gzip.compress(b"PNG"), gzip.compress(b""), r"must open with the bytes 00 00 08 .* got 50"),
        (
            gzip.compress(idx(np.zeros((2, 28, 28)))[:-1]),
            gzip.compress(idx(np.zeros(2))),
            r"must have 1584 bytes for the shape \(2, 28, 28\), got 1583",
        ),
        (
            gzip.compress(idx(np.zeros((2, 28, 28)))),
            gzip.compress(idx(np.zeros(3))),
            "2 images, but 3 labels",
        ),
        (
            gzip.compress(idx(np.zeros(2))),
            gzip.compress(idx(np.zeros(2))),
            r"images must have the shape \(N, H, W\)",
        ),
        (
            gzip.compress(idx(np.zeros((1, 28, 28)))),
            gzip.compress(idx(np.array([10]))),
            r"a label must be in \[0, 10\), got 10",
        ),
    ],
    ids=["not gzip", "not idx", "cut off", "fewer images", "wrong shape", "wrong label"],
)
def test_a_damaged_idx_file_is_one_line(tmp_path, images, labels, message):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    with pytest.raises(DataError, match=message) as caught:
        mnist(tmp_path).records("train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": np.zeros((1, 28, 28), np.uint8)},
        {"x_train": np.zeros(1), "y_train": [0]},
        np.zeros(3, np.uint8),
        None,
    ],
    ids=["no labels", "floats", "npy", "cut off"],
)
def test_a_damaged_npz_is_one_line(tmp_path, arrays):
    if arrays is None:
        (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 and no more")
    elif isinstance(arrays, np.ndarray):
        np.save(tmp_path / "mnist.npy", arrays)
        (tmp_path / "mnist.npy").rename(tmp_path / "mnist.npz")
    else:
        np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(DataError, match=r"mnist\.npz: (must hold x_train and y_train|images must)"):
        mnist(tmp_path).records("train")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_what_is_missing_is_named_with_the_command_that_gets_it(tmp_path, name):
    kind = DATASETS.get(name)
    first = r"train-images-idx3-ubyte" if "mnist" in name else r"(data_batch_1|train)\.bin"
    for root, message in ((tmp_path, first), (tmp_path / "absent", "no folder .*absent")):
        with pytest.raises(DataError, match=rf"{message}.*; cdb-video get-data {name} gets"):
            kind(kind.Options(root=str(root))).records("train")


def test_a_missing_batch_is_not_passed_over(tmp_path, coloured):
    for name, (images, tens) in coloured.items():
        if name != "data_batch_3":
            (tmp_path / f"{name}.bin").write_bytes(cifar_rows(images, tens))
    dataset = Cifar10(Cifar10.Options(root=str(tmp_path)))
    assert len(dataset.records("test")) == 10
    with pytest.raises(DataError, match=r"must hold the binary batches .*data_batch_3\.bin"):
        dataset.records("train")


# Which images


def test_validation_is_the_last_of_each_class_before_the_imbalance(digits):
    dataset = mnist(digits[0], imbalance="exponential", ratio=5, val_per_class=5)
    assert numbers(dataset, "val") == [n for label in range(10) for n in rows_of(label)[-5:]]
    expected = [int(25 * 5 ** (-rank / 9)) for rank in range(10)]
    assert sizes(dataset) == expected
    kept = [n for label, size in enumerate(expected) for n in rows_of(label)[:size]]
    assert numbers(dataset) == kept
    assert sizes(dataset, "test") == [1] * 10


def test_images_and_records_stay_together(digits):
    dataset = mnist(digits[0], imbalance="step", ratio=5, class_order="random")
    root, written = digits
    for split in ("train", "val", "test"):
        part = written["test" if split == "test" else "train"]
        images = dataset.images(split)
        assert images.shape == (len(dataset.records(split)), 3, 28, 28)
        np.testing.assert_array_equal(images[:, 1], part[numbers(dataset, split)][:, 0])


def test_the_released_protocol_of_cifar100(tmp_path):
    fine = np.random.default_rng(1).permutation(np.repeat(np.arange(100), 500))
    images = np.zeros((50_000, 3072), np.uint8)
    images[:, 0] = fine
    (tmp_path / "train.bin").write_bytes(cifar_rows(images, fine // 5, fine))
    for ratio, total in ((200, 9022), (100, 10302), (50, 11975), (20, 15111), (10, 18591)):
        options = Cifar100.Options(root=str(tmp_path), imbalance="exponential", ratio=ratio)
        dataset = Cifar100(options)
        assert len(dataset.records("train")) == total
        assert sizes(dataset, "val") == [25] * 100
    hundredth = np.flatnonzero(fine == 99)
    assert numbers(dataset)[-47:] == hundredth[:47].tolist()
    assert numbers(dataset, "val")[-25:] == hundredth[-25:].tolist()
    common = Cifar100.Options(
        root=str(tmp_path), imbalance="exponential", val_per_class=0, selection="random"
    )
    assert len(Cifar100(common).records("train")) == 10847


def test_a_random_selection_is_that_of_ldams_code(digits):
    dataset = mnist(digits[0], imbalance="step", ratio=3, val_per_class=0, selection="random")
    state = np.random.get_state()
    np.random.seed(0)
    expected = []
    for label in range(10):
        rows = np.array(rows_of(label))
        np.random.shuffle(rows)
        expected += rows[: 30 if label < 5 else 10].tolist()
    np.random.set_state(state)
    assert numbers(dataset) == expected


def test_two_classes_take_the_order_they_are_given_in(digits):
    dataset = mnist(digits[0], classes=(9, 4), imbalance="exponential", ratio=4, num_train=25)
    assert dataset.class_names == ["9", "4"]
    assert sizes(dataset) == [20, 5]
    assert sizes(dataset, "val") == [5, 5]
    assert sizes(dataset, "test") == [1, 1]
    assert {
        MIXED[n] for n, label in zip(numbers(dataset), labels(dataset), strict=True) if not label
    } == {9}


def test_a_random_class_order_permutes_the_sizes_only(digits):
    plain, seeded, other = (
        mnist(digits[0], imbalance="exponential", ratio=20, **options)
        for options in ({}, {"class_order": "random"}, {"class_order": "random", "seed": 1})
    )
    assert plain.class_names == seeded.class_names
    assert sizes(plain) == sorted(sizes(plain), reverse=True)
    assert sorted(sizes(plain)) == sorted(sizes(seeded)) == sorted(sizes(other))
    assert len({tuple(sizes(dataset)) for dataset in (plain, seeded, other)}) == 3


def test_the_same_options_give_the_same_images_and_a_seed_others(digits):
    def chosen(seed):
        options = {"imbalance": "exponential", "ratio": 10, "selection": "random", "seed": seed}
        np.random.seed(seed + 7)
        return numbers(mnist(digits[0], **options))

    state = np.random.get_state()
    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    np.random.set_state(state)


def test_fewer_images_can_be_taken(digits):
    assert sizes(mnist(digits[0], max_per_class=7)) == [7] * 10
    assert sizes(mnist(digits[0], max_per_class=99)) == [25] * 10
    dataset = mnist(digits[0], imbalance="exponential", ratio=4, max_per_class=12)
    assert (sizes(dataset)[0], sizes(dataset)[-1]) == (12, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": (4, 10)}, "CLASSES must be below 10, got 10"),
        ({"classes": (4, 4)}, r"CLASSES must be two or more different numbers, got \[4, 4\]"),
        ({"classes": (4,)}, r"two or more different numbers, got \[4\]"),
        ({"num_train": 20}, "NUM_TRAIN needs an IMBALANCE, and no MAX_PER_CLASS"),
        ({"val_per_class": 30}, "VAL_PER_CLASS must leave .* class '0' has 30 in .* got 30"),
        (
            {"imbalance": "exponential", "max_per_class": 20, "ratio": 50},
            "must leave 1 to 25 images of class '7', got 0",
        ),
        (
            {"imbalance": "step", "classes": (9, 4), "num_train": 50, "ratio": 4},
            "must leave 1 to 25 images of class '9', got 40",
        ),
    ],
)
def test_options_that_cannot_be_met_are_one_line(digits, options, message):
    with pytest.raises(ConfigError, match=message):
        mnist(digits[0], **options).records("train")


def test_without_validation_images_there_is_no_such_split(digits):
    dataset = mnist(digits[0], val_per_class=0)
    assert len(dataset.records("train")) == 300
    with pytest.raises(DataError, match="VAL_PER_CLASS 0 makes no validation split"):
        dataset.records("val")
