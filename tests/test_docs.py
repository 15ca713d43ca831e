"""Documents whose files and commands are run as they stand, in a folder with real clips."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"`([\w./]+\.(?:py|yaml))`[^\n]*:\n\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path, colour_clips):
    """A folder like the project's, where clips are in lists and in folders of their class."""
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(colour_clips, tmp_path / "clips")
    for split in ("train", "val", "test"):
        with open(colour_clips / f"{split}.csv") as rows:
            for row in csv.DictReader(rows):
                link = tmp_path / "clips" / split / row["label"] / row["path"]
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(colour_clips / row["path"])
    return tmp_path


def write_files(document, folder):
    for name, text in FILE.findall(document):
        (folder / name).write_text(text)


def commands(document):
    """(words, lines that the document says are printed) of every command."""
    for block in CONSOLE.findall(document):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.replace("\\\n", " ").partition("\n")
            yield shlex.split(command), output.splitlines()


def run(folder, words, launcher=()):
    """The lines that a command prints, which must succeed."""
    if words[0] == "cdb-video":
        words = ["python", "-m", "cdb_video", *words[1:]]
    assert words[0] == "python"
    done = subprocess.run(
        [sys.executable, *launcher, *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stderr + done.stdout).splitlines()


def without_numbers(line):
    return re.sub(r"\d[\d.,]*", "N", line)


@pytest.mark.slow
def test_the_worked_example_does_what_it_says(project):
    """Every file and command; what is said to be printed is, in this order, but for the numbers."""
    document = (ROOT / "docs" / "add_a_backbone.md").read_text()
    write_files(document, project)
    done = list(commands(document))
    assert [words[1] for words, _ in done] == ["check-backbone", "train", "test", "train"]
    for words, lines in done:
        assert lines
        printed = iter([without_numbers(line) for line in run(project, words)])
        for line in lines:
            assert without_numbers(line) in printed, f"{words}: {line}"
    assert (project / "output" / "my_net" / "test" / "metrics.json").exists()


@pytest.mark.slow
def test_the_readme_s_backbone_trains_in_two_processes_with_workers(project):
    readme = (ROOT / "README.md").read_text()
    write_files(readme, project)
    (project / "configs" / "mine.yaml").write_text(
        "_BASE_: clips_cdb.yaml\nDATA: {CLIPS: {ROOT: clips}}\nSOLVER: {MAX_EPOCH: 2}\n"
    )
    [command] = re.findall(r"^cdb-video train .* IMPORTS '\[my_net\]' .*$", readme, re.MULTILINE)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    lines = run(project, shlex.split(command), launcher)
    assert any(line.startswith("epoch 2: validation loss") for line in lines)


def test_the_walk_in_python_runs_as_it_stands(project):
    document = (ROOT / "docs" / "python_api.md").read_text()
    cells = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    assert len(cells) == 7
    # Workers are started by spawning where there is no fork; a script has a main module.
    (project / "walk.py").write_text("\n".join(cells))
    lines = run(project, ["python", "walk.py"])
    text = "\n".join(lines)
    assert "an array" in text
    assert "nowhere.mp4  nowhere.mp4: No such file or directory" in text
    assert (project / "output" / "mine" / "report.html").exists()
    assert any(line.startswith("tensor([[") for line in lines)
    assert not any("Error" in line for line in lines)
