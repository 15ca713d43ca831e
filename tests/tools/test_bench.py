"""benchmarks/all.py: what its programs find is kept, however they end."""

import importlib.util
import json
from pathlib import Path

import pytest

ALL = Path(__file__).parents[2] / "benchmarks" / "all.py"
PROGRAMS = {
    "whole.py": "print('a: 1 ms')\nprint('{\"a\": 1, \"steps\": [1]}')",
    "late.py": "import time\nprint('{\"b\": 2, \"steps\": [2]}')\nprint('{torn')\ntime.sleep(60)",
    "fails.py": 'print(\'{"a": 3, "c": 3}\')\nraise SystemExit(1)',
    "silent.py": "",
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ALL.parent)
    spec = importlib.util.spec_from_file_location("bench_all", ALL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "CPU", {name: 2 for name in PROGRAMS})
    monkeypatch.setattr("sys.argv", ["all.py"])
    monkeypatch.chdir(tmp_path)
    return module


def test_what_was_found_is_kept(bench, capsys):
    assert bench.main() == 0
    found = json.loads(Path("bench.json").read_text())
    assert {key: found[key] for key in "abc"} == {"a": 1, "b": 2, "c": 3}
    assert found["steps"] == [1, 2]
    said = capsys.readouterr().out
    assert "late.py takes more than 2 s: stopped" in said
    assert "fails.py failed, or found nothing (exit code 1)" in said
    assert "silent.py failed, or found nothing (exit code 0)" in said
    assert "whole.py failed" not in said
