"""What the tests of training share."""

import pytest
from thread_count import threads

from cdb_video import options


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums depend on the number of threads; these tests compare bits."""
    with threads(1):
        yield


@pytest.fixture
def configured(tiny_yaml, tmp_path):
    """(output folder name, *words) -> Config."""

    def configured(name="out", *words):
        return options.load(tiny_yaml, ["OUTPUT_DIR", str(tmp_path / name), *map(str, words)])

    return configured
