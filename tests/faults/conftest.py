"""The long programme of faults: only where FAULTS is set, as by ``make test-faults``."""

import os

import pytest


def pytest_collection_modifyitems(items):
    if not os.environ.get("FAULTS"):
        for item in items:
            if "faults" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="make test-faults"))
