"""Small data sets with random images, and the archives and packages that hold them."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
from functools import cached_property

import cv2
import numpy as np

from cdb_video.fetch.sets import SETS


def tar(path, files):
    """Writes an archive, compressed if its name says so, with {name: bytes}."""
    mode = "w" if path.suffix == ".tar" else "w:gz"
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def deb(path, files):
    """Writes a Debian package with {name: bytes}: an ar archive of two tar archives."""
    control = b"Package: images\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\n"
    folder = path.parent
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar(folder / "control.tar.gz", {"./control": control}).read_bytes(),
        "data.tar.gz": tar(folder / "data.tar.gz", files).read_bytes(),
    }
    with open(path, "wb") as archive:
        archive.write(b"!<arch>\n")
        for name, data in parts.items():
            archive.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
            archive.write(data + b"\n" * (len(data) % 2))
    return path


def idx(array):
    """The bytes of an IDX file, as its description words them."""
    sizes = b"".join(struct.pack(">i", size) for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Digits:
    """Random images like MNIST's, those of each digit together, in train and test."""

    def __init__(self, seed, num_train, num_test):
        rng = np.random.default_rng(seed)
        self.labels = [
            np.repeat(np.arange(10), counts) for counts in ([num_train] * 10, [num_test] * 10)
        ]
        self.images = [
            rng.integers(0, 256, (len(labels), 28, 28)) * (rng.random((len(labels), 28, 28)) < 0.1)
            for labels in self.labels
        ]
        self.idx = {
            f"{part}-{kind}": idx(array)
            for part, images, labels in zip(
                ("train", "t10k"), self.images, self.labels, strict=True
            )
            for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels))
        }
        self.files = {f"{name}.gz": sha256(data) for name, data in self.idx.items()}

    def packed(self, prefix=""):
        """The IDX files below a folder, compressed."""
        return {
            f"{prefix}{name}.gz": gzip.compress(data, mtime=0) for name, data in self.idx.items()
        }

    @cached_property
    def npm(self):
        """The files of npm's package."""
        files = {}
        for digit in range(10):
            both = [
                images[labels == digit]
                for images, labels in zip(self.images, self.labels, strict=True)
            ]
            values = np.round(np.concatenate(both).ravel() / 255, 3)
            text = json.dumps({"data": [int(v) if v == int(v) else v for v in values.tolist()]})
            files[f"package/src/digits/{digit}.json"] = text.encode()
        return files


class Cifar:
    """Random images like CIFAR-10's: 4, 5, ... 8 in the training batches, 9 in the other."""

    def __init__(self):
        rng = np.random.default_rng(3)
        names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
        self.images = {n: rng.integers(0, 256, (4 + i, 32, 32, 3)) for i, n in enumerate(names)}
        self.labels = {name: rng.integers(0, 10, len(self.images[name])) for name in names}
        self.batches = {f"{name}.bin": self._batch(name) for name in names}
        self.files = {name: sha256(data) for name, data in self.batches.items()}
        self.files["batches.meta.txt"] = ""

    def _batch(self, name):
        rows = []
        for image, label in zip(self.images[name], self.labels[name], strict=True):
            planes = [image[:, :, channel].astype(np.uint8).tobytes() for channel in range(3)]
            rows.append(bytes([label]) + b"".join(planes))
        return b"".join(rows)

    def npm(self):
        """The files of npm's package."""
        files = {}
        for name, images in self.images.items():
            sheet = images.reshape(len(images), 1024, 3)[:, :, ::-1].astype(np.uint8)
            files[f"package/{name}.png"] = cv2.imencode(".png", sheet)[1].tobytes()
        train = [int(x) for n, labels in self.labels.items() if n != "test_batch" for x in labels]
        files["package/train_lables.json"] = json.dumps(train).encode()
        files["package/test_lables.json"] = json.dumps(self.labels["test_batch"].tolist()).encode()
        return files


def with_files(name, files):
    """The data set ``name`` as if these small files were the published ones."""
    return SETS[name]._replace(files=files)
