"""What the tests of training share."""

import pytest
import torch

from cdb_video import options


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums depend on the number of threads; these tests compare bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def configured(tiny_yaml, tmp_path):
    """(output folder name, *words) -> Config."""

    def configured(name="out", *words):
        return options.load(tiny_yaml, ["OUTPUT_DIR", str(tmp_path / name), *map(str, words)])

    return configured
