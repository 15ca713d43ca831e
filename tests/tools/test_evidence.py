"""benchmarks/evidence.py in small: real runs that are stopped, go on and end in a table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
# The recipe's steps need ten epochs to lie apart.
SMALL = ("--ratios", "2", "--depth", "8", "--epochs", "10", "--seeds", "1")
OPTIONS = ("DATA.CIFAR10.VAL_PER_CLASS", "2", "TRAIN.BATCH_SIZE", "16", "DEVICE", "cpu")


def write_cifar10(folder):
    """The files of CIFAR-10 with noise: 15 training images a class, and 3 to test."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in [*((f"data_batch_{n}", 3) for n in range(1, 6)), ("test_batch", 3)]:
        rows = rng.integers(0, 256, (10 * count, 1 + 3 * 32 * 32), np.uint8)
        rows[:, 0] = np.repeat(np.arange(10), count)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


@pytest.fixture
def evidence(tmp_path):
    """(losses, *words) -> what the program prints of ``tmp_path/out``."""
    write_cifar10(tmp_path / "cifar10")

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
