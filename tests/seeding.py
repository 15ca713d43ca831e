"""Seeds all global generators by the name of a test, so that no draw depends on what ran before.

TEST_SEED in the environment gives other numbers to all tests.
"""

import os
import random
import zlib

import numpy as np
import pytest
import torch

BASE_SEED = os.environ.get("TEST_SEED", "0")


def seed_by(name):
    """Seeds by a name and TEST_SEED."""
    seed = zlib.crc32(f"{BASE_SEED} {name}".encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def pytest_collectstart(collector):
    """A module may draw as it is imported."""
    seed_by(collector.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Whichever test is the first to ask for a shared fixture, it draws the same."""
    own = request.node.nodeid if fixturedef.scope == "function" else ""
    seed_by(f"{own} {fixturedef.argname}")
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test draws the same alone, in any order and on any worker."""
    seed_by(pyfuncitem.nodeid)
    return (yield)
