"""Writes small archives of images in the forms in which MNIST and CIFAR are given away."""

import gzip
import pickle
import struct

import numpy as np


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


def cifar_pickle(images, protocol=2, **labels):
    """The bytes of a Python batch."""
    content = {b"data": images.reshape(len(images), -1), b"filenames": [b"a.png"] * len(images)}
    content |= {key.encode(): [int(label) for label in values] for key, values in labels.items()}
    return pickle.dumps(content, protocol)
