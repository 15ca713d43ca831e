"""Every name that can be asked for, and what is said where nothing can be done."""

from urllib.request import build_opener, install_opener

import pytest

from cdb_video.errors import DataError
from cdb_video.fetch.get import NAMES, get_data

DOWNLOADED = ("mnist", "fashion_mnist", "cifar10", "cifar100")
BY_HAND = ("imagenet_lt", "places_lt", "inaturalist", "egtea")


@pytest.fixture
def _offline():
    """No way out but through a proxy that is not there."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("http", "https"):
            patch.setenv(f"{kind}_proxy", "http://127.0.0.1:1")
        patch.setenv("no_proxy", "")
        install_opener(build_opener())  # the old one knows the old environment
        yield
    install_opener(build_opener())


@pytest.mark.usefixtures("_offline")
@pytest.mark.parametrize("name", DOWNLOADED)
def test_without_a_network_the_error_says_what_else_helps(name, tmp_path):
    with pytest.raises(DataError) as error:
        get_data(name, tmp_path / "out")
    assert str(error.value).count("Connection refused") >= 2
    assert str(error.value).endswith("another way: --from PATH")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BY_HAND)
def test_what_a_script_cannot_get_is_explained(name, tmp_path, capsys):
    get_data(name, tmp_path / "out")
    said = capsys.readouterr().out
    assert "http" in said
    assert f"{tmp_path / 'out'}" in said
    with pytest.raises(DataError, match=f"--from is for mnist, .*, got {name}"):
        get_data(name, tmp_path / "out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_demo_is_the_made_data(tmp_path):
    assert set(NAMES) == {*DOWNLOADED, *BY_HAND, "demo"}
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="must be a new or empty folder or demo data"):
        get_data("demo", tmp_path)
