"""benchmarks/evidence.py in small: real runs that are stopped, go on and end in a table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from archives import WRITERS

ROOT = Path(__file__).parents[2]
# The recipe's steps need ten epochs to lie apart.
SMALL = ("--ratios", "2", "--depth", "8", "--epochs", "10", "--seeds", "1")
OPTIONS = ("DATA.CIFAR10.VAL_PER_CLASS", "2", "TRAIN.BATCH_SIZE", "16", "DEVICE", "cpu")


@pytest.fixture
def evidence(tmp_path):
    """(losses, *words) -> what the program prints of ``tmp_path/out``."""
    (tmp_path / "cifar10").mkdir()
    WRITERS["cifar10"](tmp_path / "cifar10")

    def evidence(losses, *words):
        command = [sys.executable, str(ROOT / "benchmarks" / "evidence.py"), *SMALL, *words]
        folders = ("--data", str(tmp_path / "cifar10"), "--out", str(tmp_path / "out"))
        return subprocess.run(
            [*command, *folders, "--losses", losses, *OPTIONS],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).stdout.splitlines()

    return evidence


@pytest.mark.slow
def test_it_goes_on_and_compares(evidence, tmp_path):
    stopped = evidence("cross_entropy", "--minutes", "0.0001")
    assert stopped[0] == "0 of 1 runs are done"
    assert stopped[-1] == "no run is done yet"
    first = evidence("cross_entropy")
    assert first[0] == "0 of 1 runs are done"
    assert first[-1].startswith("| `cross_entropy` | ")
    runs = tmp_path / "out" / "r2"
    shutil.copytree(runs / "cross_entropy", runs / "balanced_softmax")
    *_, head, rule, one, other = evidence("cross_entropy,balanced_softmax")
    assert head.startswith("| loss | validation | mean_class_recall | minus the first | ")
    assert rule.count("|") == head.count("|") == one.count("|") == other.count("|")
    scores = [cell.strip() for cell in one.split("|")[2:-1]]
    assert scores[2] == ""
    same = [cell.strip() for cell in other.split("|")[2:-1]]
    assert same == [cell or "+0.0" for cell in scores]
    assert all(0 <= float(cell) <= 100 for cell in scores if cell)
