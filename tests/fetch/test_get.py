"""Data sets out of packages, off a server and from what a user has, down to the pixels."""

import gzip
import re
import shutil
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from small_sets import sha256, tar, with_files

from cdb_video.errors import DataError
from cdb_video.fetch.get import install
from cdb_video.fetch.mirrors import Download
from cdb_video.fetch.sets import SETS


def contents(folder):
    """{path: bytes} of all files below a folder, of .gz the unpacked bytes."""
    return {
        str(path.relative_to(folder)): gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def in_gz(files):
    return {f"{name}.gz": data for name, data in files.items()}


def refusal(*arguments):
    with pytest.raises(DataError) as error:
        install(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_same_data_gives_the_same_bytes_and_right_files_are_left(digits, tmp_path):
    tar(tmp_path / "mine.tar", digits.packed())
    dataset = with_files("mnist", digits.files)
    for out in ("one", "two"):
        install(dataset, tmp_path / out, tmp_path / "mine.tar")
    one, two = tmp_path / "one", tmp_path / "two"
    whole = {path.name: path.read_bytes() for path in one.iterdir()}
    assert {path.name: path.read_bytes() for path in two.iterdir()} == whole
    # A run that was killed: a file lacks, one is damaged, its working folder is left.
    (one / "t10k-labels-idx1-ubyte.gz").unlink()
    (one / "t10k-images-idx3-ubyte.gz").write_bytes(whole["t10k-images-idx3-ubyte.gz"][:99])
    (tmp_path / ".one.partial" / "archive").mkdir(parents=True)
    before = (one / "train-images-idx3-ubyte.gz").stat()
    install(dataset, one, tmp_path / "mine.tar")
    assert {path.name: path.read_bytes() for path in one.iterdir()} == whole
    after = (one / "train-images-idx3-ubyte.gz").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not (tmp_path / ".one.partial").exists()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder and the address at which a server serves it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "published"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def served(dataset, folder, url):
    """The data set with the files in ``folder`` as its downloads."""
    downloads = tuple(
        Download(path.name, sha256(path.read_bytes()), (url,)) for path in sorted(folder.iterdir())
    )
    return dataset._replace(downloads=downloads)


def test_official_files_are_kept_as_they_are(published, clothes, tmp_path):
    folder, url = published
    for name, data in clothes.packed().items():
        (folder / name).write_bytes(data)
    dataset = served(with_files("fashion_mnist", clothes.files), folder, url)
    install(dataset, tmp_path / "out")
    for name, data in clothes.packed().items():
        assert (tmp_path / "out" / name).read_bytes() == data
    shutil.rmtree(folder)  # a second run asks for nothing
    install(dataset, tmp_path / "out")
    (tmp_path / "out" / "t10k-labels-idx1-ubyte.gz").unlink()
    message = refusal(dataset, tmp_path / "out")
    assert re.fullmatch(
        r"t10k-labels-idx1-ubyte.gz cannot be downloaded \(127.0.0.1:\d+: HTTP error 404 "
        r"File not found\); another way: --from PATH",
        message,
    )


def test_an_official_archive_is_unpacked_and_goes(published, cifar, tmp_path):
    folder, url = published
    names = {"batches.meta.txt": b"airplane\n", "readme.html": b"<p>"}
    tar(
        folder / "cifar-10-binary.tar.gz",
        {f"cifar-10-batches-bin/{n}": data for n, data in {**cifar.batches, **names}.items()},
    )
    dataset = served(with_files("cifar10", cifar.files), folder, url)
    install(dataset, tmp_path / "out")
    del names["readme.html"]
    assert contents(tmp_path / "out") == {**cifar.batches, **names}


def test_from_folders_of_torchvision(digits, clothes, tmp_path):
    for folder, data in {"FashionMNIST": clothes, "MNIST": digits}.items():
        raw = tmp_path / "torchvision" / folder / "raw"
        raw.mkdir(parents=True)
        for name, file in data.idx.items():
            (raw / name).write_bytes(file)
        for name, file in data.packed().items():
            (raw / name).write_bytes(file)
    for name, data in {"fashion_mnist": clothes, "mnist": digits}.items():
        install(with_files(name, data.files), tmp_path / name, tmp_path / "torchvision")
        assert contents(tmp_path / name) == in_gz(data.idx)


def test_from_plain_idx_files_in_a_zip(digits, tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for name, data in digits.idx.items():
            archive.writestr(f"a/{name.replace('-idx', '.idx')}", data)
    install(with_files("mnist", digits.files), tmp_path / "out", tmp_path / "archive.zip")
    assert contents(tmp_path / "out") == in_gz(digits.idx)


def test_from_keras(digits, tmp_path):
    np.savez(
        tmp_path / "mnist.npz",
        x_train=digits.images[0].astype(np.uint8),
        y_train=digits.labels[0],
        x_test=digits.images[1].astype(np.uint8),
        y_test=digits.labels[1],
    )
    dataset = with_files("mnist", digits.files)
    install(dataset, tmp_path / "out", tmp_path / "mnist.npz")
    assert contents(tmp_path / "out") == in_gz(digits.idx)
    np.savez(tmp_path / "mnist.npz", x_train=np.array([{}], object))
    message = refusal(dataset, tmp_path / "out", tmp_path / "mnist.npz")
    assert "mnist.npz does not hold the data set" in message


def test_from_what_is_not_the_data_set(digits, tmp_path):
    dataset, mine, out = with_files("mnist", digits.files), tmp_path / "mine", tmp_path / "out"
    assert refusal(dataset, out, mine) == f"--from must be a folder or an archive, got {mine}"
    mine.mkdir()
    assert f"{mine} does not hold the data set: " in refusal(dataset, out, mine)
    for name, data in digits.packed().items():
        (mine / name).write_bytes(data)
    (mine / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "t10k-labels-idx1-ubyte.gz is missing" in refusal(dataset, out, mine)
    damaged = (mine / "train-images-idx3-ubyte.gz").read_bytes()[:-100]
    (mine / "train-images-idx3-ubyte.gz").write_bytes(damaged)
    assert "train-images-idx3-ubyte.gz is not the published" in refusal(dataset, out, mine)
    for name in ("a.tar.gz", "a.zip", "a.rar", "a.npz"):
        (tmp_path / name).write_bytes(b"no archive")
        assert name in refusal(dataset, out, tmp_path / name)
    whole = tar(tmp_path / "b.tgz", digits.packed()).read_bytes()
    (tmp_path / "b.tgz").write_bytes(whole[:5000] + b"x" * 5000 + whole[10000:])
    assert "b.tgz" in refusal(dataset, out, tmp_path / "b.tgz")
    assert not out.exists()


def test_an_archive_cannot_write_outside(digits, tmp_path):
    evil = tar(tmp_path / "evil.tar", {"../../escaped": b"x"})
    assert "evil.tar cannot be unpacked" in refusal(SETS["mnist"], tmp_path / "out", evil)
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        link = tarfile.TarInfo("train-images-idx3-ubyte")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert "cannot be unpacked" in refusal(SETS["mnist"], tmp_path / "out", tmp_path / "link.tar")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../escaped", b"x")
    refusal(SETS["mnist"], tmp_path / "out", tmp_path / "evil.zip")
    assert not list(tmp_path.rglob("escaped"))
    assert not (tmp_path.parent / "escaped").exists()


def test_a_folder_that_cannot_be_made_is_one_line(digits, tmp_path):
    archive = tar(tmp_path / "mine.tar", digits.packed())
    (tmp_path / "file").write_text("")
    dataset = with_files("mnist", digits.files)
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"{out} cannot be made" in refusal(dataset, out, archive)


def test_every_checksum_has_the_length_of_one():
    for dataset in SETS.values():
        for name, digest in dataset.files.items():
            expected = "" if name.endswith(".txt") else r"[0-9a-f]{64}"
            assert re.fullmatch(expected, digest), name
        assert dataset.downloads
        for item in dataset.downloads:
            assert re.fullmatch(r"[0-9a-f]{64}", item.sha256)
            assert all(url.endswith("/") for url in item.urls)
