"""How the tests of the commands run them: in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(tmp_path):
    """(script or word, *words) -> finished process, run in a folder that is not the project's."""

    def tool(name, *words, launcher=()):
        program = (
            [str(ROOT / "tools" / name)] if name.endswith(".py") else ["-m", "cdb_video", name]
        )
        return subprocess.run(
            [sys.executable, *launcher, *program, *map(str, words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return tool
