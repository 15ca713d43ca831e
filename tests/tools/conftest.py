"""How the tests of the commands run them: in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(tmp_path):
    """(script, *words) -> finished process, run in a folder that is not the project's."""

    def tool(script, *words, launcher=()):
        command = [sys.executable, *launcher, str(ROOT / "tools" / script), *map(str, words)]
        return subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return tool
