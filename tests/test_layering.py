"""The rules of the house: who may import whom, and what may exist in one place only."""

import ast
import re
from pathlib import Path

import pytest

import cdb_video

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cdb_video"
# What anyone may use: these know nothing of clips, networks or runs.
GROUND = {"errors", "version", "system", "config", "registry"}
PARTS = {"models", "losses", "mixing", "metrics"}
DATA = {
    "data.lists": set(),
    "data.datasets": {"data.lists", "data.decode"},
    "data.decode": set(),
    "data.frames": {"data.decode"},
    "data.samplers": {"difficulty"},
    "data.batches": {"data.lists", "data.frames", "data.decode", "data.samplers"},
    "data.pack": {"data.lists", "data.frames", "data.decode", "data"},
}
ENGINE = {
    "engine.prepare": set(),
    "engine.record": set(),
    "engine.evaluate": {"engine.prepare", "engine.record"},
    "engine.train": {"engine.prepare", "engine.record", "engine.evaluate"},
    "engine.retrain": {"engine.prepare", "engine.record", "engine.evaluate", "engine.train"},
    "engine.use": {"engine.prepare", "engine.record", "engine.evaluate"},
}
BELOW_ENGINE = {*GROUND, *DATA, *PARTS, "data", "distributed", "difficulty", "outputs", "output"}
ALLOWED = {
    "errors": set(),
    "version": set(),
    "system": {"errors"},
    "registry": {"errors"},
    "config": {"errors", "registry"},
    "distributed": {"errors"},
    "difficulty": {"config"},
    "outputs": set(),
    "output": {"errors", "distributed", "system"},
    "data": set(),
    **{room: GROUND | {"outputs"} | below for room, below in DATA.items()},
    "models": GROUND | {"outputs"},
    "losses": GROUND | {"outputs", "difficulty"},
    "mixing": GROUND | {"difficulty", "distributed"},
    "metrics": GROUND,
    "demo": GROUND,
    "fetch": GROUND | {"demo"},
    "sections": {"config", "registry"},
    "options": {"config", "registry", "errors", "distributed", "sections", "models"}
    | {"data.decode", "data.frames"},
    "report": GROUND | {"output", "metrics", "data.decode", "data.frames"},
    **{room: BELOW_ENGINE | {"options", "sections"} | below for room, below in ENGINE.items()},
    "doctor": BELOW_ENGINE | {"options", *ENGINE},
    "__main__": {"commands"},
    "commands": BELOW_ENGINE | {"options", "doctor", "report", "fetch", "demo", *ENGINE},
}
FORBIDDEN = ("eval", "exec", "os.system", "pickle.load", "pickle.loads")
READS_OPTIONS = ("commands.", "doctor.", "engine.prepare.")
READS_OPTIONS += ("engine.train.loop", "engine.train.run", "engine.evaluate.test")
READS_OPTIONS += ("engine.retrain.retrain", "engine.retrain.kept_features")
"""Where the Config becomes values, and where it is handed on."""
CELLARS = ("system", "config", "output")
FILES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*FILES, *sorted((ROOT / "tools").glob("*.py"))]


HAS_OTHER_LISTS = (
    *(PACKAGE / "data" / "datasets").glob("*.py"),
    PACKAGE / "commands" / "compare.py",
    PACKAGE / "commands" / "make_long_tail.py",
    PACKAGE / "output" / "prediction_folder.py",
)


def imports(path):
    """Every module name that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import(path):
    """What a file imports of this package as it is imported itself, not in a function."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cdb_video"):
            yield from (f"{node.module}.{alias.name}".partition(".")[2] for alias in node.names)


def calls(path):
    """(dotted name, keywords) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def room(module):
    """The room of a dotted name inside the package: data and engine have rooms of their own."""
    parts = module.split(".")
    inner = parts[0] in ("data", "engine") and (PACKAGE / parts[0] / parts[1]).is_dir()
    return ".".join(parts[: 2 if inner else 1])


def module_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def ours(path):
    """What a file imports of this package, without its first name."""
    found = (name.split(".", 1)[1] for name in imports(path) if name.startswith("cdb_video."))
    return [name for name in found if not name.startswith("__")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    if path == PACKAGE / "__init__.py":
        # Nothing but names for type checkers, and those that are found when they are used.
        for name in imports(path):
            place = ".".join(name.split(".")[1:-1])
            others = ("importlib", "typing.TYPE_CHECKING", "typing.Any")
            assert name in (*others, "cdb_video.version.__version__") or (
                cdb_video.PUBLIC[name.split(".")[-1]] == place
            )
        return
    own = room(module_of(path))
    for name in ours(path):
        assert room(name) in ALLOWED[own] | {own}, f"{path} imports {name}"


def test_no_room_is_forgotten():
    rooms = {room(module_of(path)) for path in FILES if path.name != "__init__.py"}
    assert rooms == ALLOWED.keys()


def test_values_travel_and_the_config_does_not():
    """It is read where parts are built, and nowhere below."""
    readers = {
        module_of(path) for path in FILES if any(n.startswith("options.") for n in ours(path))
    }
    assert {name for name in readers if not name.startswith(READS_OPTIONS)} == {"__init__"}
    for name in READS_OPTIONS:
        assert any(reader.startswith(name) for reader in readers), name


def test_the_cellars_know_nothing_of_the_house():
    """Files, options and what runs leave: of clips, networks and engines they know nothing."""
    above = {"data", "models", "losses", "mixing", "metrics", "engine", "options", "sections"}
    for path in FILES:
        if room(module_of(path)) in CELLARS:
            assert not above & {name.split(".")[0] for name in ours(path)}, path


def test_no_file_imports_itself_on_a_detour():
    known = {module_of(path): path for path in FILES}
    packages = {name.removesuffix(".__init__"): name for name in known}
    below = {
        name: {
            packages[module]
            for found in at_import(path)
            for module in (found, found.rpartition(".")[0])
            if module in packages
        }
        for name, path in known.items()
    }
    done: set[str] = set()

    def visit(name, way):
        assert name not in way, " -> ".join([*way, name])
        if name not in done:
            for other in below[name] - {name}:
                visit(other, [*way, name])
            done.add(name)

    for name in known:
        visit(name, [])


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
    assert lines[PACKAGE / "engine" / "train" / "loop.py"] < 200
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
