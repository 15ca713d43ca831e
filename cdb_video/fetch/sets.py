"""The data sets: their files, with published checksums and sources."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cdb_video.fetch.layouts import Contents, Files, keras_mnist
from cdb_video.fetch.mirrors import Download


class DataSet(NamedTuple):
    """How one data set is got."""

    files: Files
    """What belongs to it."""
    downloads: tuple[Download, ...]
    """The files, or archives that hold them."""
    readers: tuple[Callable[[Path], Contents | None], ...] = ()
    """Layouts that are converted."""


def idx_checksums(*sha256: str) -> Files:
    """The four files of MNIST and similar sets."""
    return {
        f"{part}-{kind}-ubyte.gz": checksum
        for (part, kind), checksum in zip(
            [(part, kind) for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")],
            sha256,
            strict=True,
        )
    }


def idx_downloads(urls: tuple[str, ...], *sha256: str) -> tuple[Download, ...]:
    """The four files of MNIST and similar sets, as published: packed with gzip."""
    names = idx_checksums(*[""] * 4)
    return tuple(Download(name, one, urls) for name, one in zip(names, sha256, strict=True))


TORONTO = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")

# MNIST, Fashion-MNIST: checksum of the packed files as TensorFlow Datasets states them,
# checksums of the unpacked ones as many readers pin them.
MNIST = idx_checksums(
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
MNIST_DOWNLOADS = idx_downloads(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
FASHION_MNIST = idx_checksums(
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
FASHION_MNIST_DOWNLOADS = idx_downloads(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)

# CIFAR: archives as TensorFlow Datasets pins them, binary batches as torchvision for Ruby does.
CIFAR10 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    "batches.meta.txt": "",
}
CIFAR10_DOWNLOAD = Download(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    TORONTO,
)
CIFAR100 = {
    "train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
    "test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    "fine_label_names.txt": "",
    "coarse_label_names.txt": "",
}
CIFAR100_DOWNLOAD = Download(
    "cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    TORONTO,
)
SETS = {
    "mnist": DataSet(MNIST, MNIST_DOWNLOADS, readers=(keras_mnist,)),
    "fashion_mnist": DataSet(FASHION_MNIST, FASHION_MNIST_DOWNLOADS, readers=(keras_mnist,)),
    "cifar10": DataSet(CIFAR10, (CIFAR10_DOWNLOAD,)),
    "cifar100": DataSet(CIFAR100, (CIFAR100_DOWNLOAD,)),
}
