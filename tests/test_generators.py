"""No test depends on what ran before it: all global generators are seeded by its name."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from seeding import BASE_SEED

AT_IMPORT = torch.rand(()).item()
SEEN = []


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()


@pytest.fixture(scope="session")
def drawn():
    return draws()


def test_a_test_draws_the_same_whatever_was_drawn_before(drawn):
    assert len({*drawn, *draws()}) == 6, "a fixture of the session is seeded by another name"
    print("drawn", AT_IMPORT, *drawn, *draws())


@pytest.mark.parametrize("number", range(2))
def test_two_tests_draw_different_numbers(number):
    SEEN.append(draws())
    assert len(set(SEEN)) == len(SEEN)


def test_alone_in_another_order_and_by_another_seed():
    """In processes of their own: alone, after another test, and with another base seed."""
    first = "tests/test_generators.py::test_a_test_draws_the_same_whatever_was_drawn_before"
    other = "tests/test_generators.py::test_two_tests_draw_different_numbers"
    lines = []
    for names, seed in (([first], BASE_SEED), ([other, first], BASE_SEED), ([first], "another")):
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *names]
        environment = {**os.environ, "TEST_SEED": seed}
        environment.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        lines.append(next(s for s in done.stdout.splitlines() if "drawn" in s).split("drawn")[1])
    assert lines[0] == lines[1] != lines[2]
