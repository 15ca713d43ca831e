"""The rules of the house: who may import whom, and what may exist in one place only."""

import ast
import re
from pathlib import Path

import pytest

import cdb_video

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cdb_video"
GROUND = {
    "",
    "errors",
    "registry",
    "option_types",
    "config",
    "option_docs",
    "distributed",
    "difficulty",
    "sections",
    "files",
    "csv_rows",
    "yaml_text",
    "file_kinds",
    "lock",
    "stopping",
    "run_folder",
    "run_rows",
    "download",
    "prediction_folder",
    "threads",
    "freed_memory",
    "parts",
    "moved_keys",
}
ALLOWED = {
    "errors": set(),
    "registry": {"errors"},
    "yaml_text": set(),
    "option_types": {"errors", "yaml_text"},
    "config": {"errors", "registry", "option_types", "yaml_text"},
    "option_docs": {"config", "option_types"},
    "sections": {"option_types"},
    "distributed": {"errors"},
    "difficulty": {"option_types"},
    "files": set(),
    "file_kinds": set(),
    "csv_rows": {"errors"},
    "lock": set(),
    "threads": set(),
    "freed_memory": set(),
    "parts": set(),
    "moved_keys": set(),
    "download": {"files"},
    "stopping": {"errors"},
    "run_rows": set(),
    "run_folder": {"errors", "distributed", "files", "csv_rows", "lock", "run_rows"},
    "prediction_folder": {"errors", "files", "csv_rows", "lock"},
    "data": GROUND | {"data"},
    "demo": GROUND | {"demo"},
    "fetch": GROUND | {"demo", "fetch"},
    "models": GROUND | {"models"},
    "losses": GROUND | {"losses"},
    "mixing": GROUND | {"mixing"},
    "metrics": GROUND | {"metrics"},
    "options": GROUND | {"data", "models", "losses", "mixing", "metrics"},
    "engine": GROUND | {"data", "models", "losses", "mixing", "metrics", "options", "engine"},
    "doctor": GROUND | {"data", "options", "engine", "doctor"},
    "report": GROUND | {"data", "metrics", "report"},
    "commands": GROUND
    | {
        "options",
        "data",
        "engine",
        "metrics",
        "report",
        "models",
        "demo",
        "fetch",
        "doctor",
        "commands",
    },
}
FORBIDDEN = ("eval", "exec", "os.system", "pickle.load", "pickle.loads")
FILES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*FILES, *sorted((ROOT / "tools").glob("*.py"))]


HAS_OTHER_LISTS = (
    *(PACKAGE / "data" / "datasets").glob("*.py"),
    PACKAGE / "commands" / "compare.py",
    PACKAGE / "commands" / "make_long_tail.py",
    PACKAGE / "prediction_folder.py",
)


def imports(path):
    """Every module name that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(path):
    """(dotted name, keywords) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    if path == PACKAGE / "__init__.py":
        # Nothing but names for type checkers, and those that are found when they are used.
        for name in imports(path):
            place = ".".join(name.split(".")[1:-1])
            assert name in ("importlib", "typing.TYPE_CHECKING", "typing.Any") or (
                cdb_video.PUBLIC[name.split(".")[-1]] == place
            )
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "cdb_video":
            target = parts[1] if len(parts) > 1 and not parts[1].startswith("__") else ""
            assert target in ALLOWED[room(path)] | {""}, f"{path} imports {name}"


def test_only_distributed_talks_to_other_processes():
    users = [p.name for p in FILES if any(n.startswith("torch.distributed") for n in imports(p))]
    assert users == ["distributed.py"]


def test_only_the_weights_module_reads_checkpoints_and_never_code():
    loads = [(path, keys) for path in SOURCES for f, keys in calls(path) if f == "torch.load"]
    assert [path for path, _ in loads] == [PACKAGE / "models" / "weights" / "files.py"]
    assert loads[0][1]["weights_only"] == "True"


def test_nothing_unsafe_or_unavailable_is_used():
    for path in SOURCES:
        for name in imports(path):
            assert name.split(".")[0] != "torchvision", f"{path} imports {name}"
            assert not name.startswith(("pytorchvideo.transforms", "pytorchvideo.data"))
        for function, keywords in calls(path):
            assert function not in ("eval", "exec", "os.system", "pickle.load", "pickle.loads"), (
                path
            )
            assert keywords.get("shell") != "True", path


def test_sizes():
    lines = {path: path.read_text().count("\n") for path in FILES}
    assert lines[PACKAGE / "engine" / "train.py"] < 200
    for path, count in lines.items():
        assert count <= (400 if "backbones" in path.parts else 300), f"{path}: {count} lines"
    for path in (ROOT / "tools").glob("*.py"):
        assert path.read_text().count("\n") <= 40, path
    # What is left in OUTPUT_DIR is known to one module.
    names = re.compile(r"\w+\.(jsonl|csv|pt)\"|metrics\.json\"|config\.yaml\"")
    for path in {p for p in FILES if p.name != "run_folder.py"} - set(HAS_OTHER_LISTS):
        assert not names.search(path.read_text()), path
    assert not list(PACKAGE.rglob("*utils*"))


def test_functions_are_short():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
