"""``list`` and ``check_backbone`` as users type them."""

import subprocess
import sys
from pathlib import Path

import pytest

from cdb_video import commands
from cdb_video.models.contract import CHECKS
from cdb_video.registry import REGISTRIES

CARELESS = """
from dataclasses import dataclass
from torch import nn
from cdb_video.registry import BACKBONES

@BACKBONES.register("careless")
class Careless(nn.Module):
    '''Forgets a layer. It also drops out for ever.'''

    @dataclass(frozen=True)
    class Options:
        width: int = 4

    def __init__(self, options):
        super().__init__()
        self.num_features = options.width
        self.conv = nn.Conv3d(3, options.width, 3, padding=1)
        self.spare = nn.Linear(2, 2)

    def forward(self, video):
        return nn.functional.dropout(self.conv(video).mean(dim=(2, 3, 4)))
"""


@pytest.fixture
def careless(tmp_path):
    """A user's module, under a name that a command has, too."""
    (tmp_path / "compare.py").write_text(CARELESS)


@pytest.mark.parametrize(
    ("registry", "name"),
    [(registry, name) for registry in REGISTRIES for name in registry.names()],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_every_component_says_what_it_is_in_one_sentence(registry, name):
    sentence = registry.summary(name)
    assert sentence[:1].isalnum(), f"the docstring of {name} must open with a sentence"
    assert sentence.endswith(".")
    assert 15 < len(sentence) <= 100


def test_the_list_has_all_components_and_the_user_s(tool, careless):
    result = tool("list", "compare")
    assert result.returncode == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    known = [
        (registry.kind, name)
        for registry in REGISTRIES
        for name in registry.names()
        if registry.get(name).__module__.startswith("cdb_video.")  # not those of other tests
    ]
    assert sorted((kind, name) for kind, name, _ in rows) == sorted(
        [*known, ("backbone", "careless")]
    )
    assert ["backbone", "careless", "Forgets a layer."] in rows


def test_the_installed_command_finds_a_module_in_the_folder_one_starts_from(careless, tmp_path):
    command = [Path(sys.executable).parent / "cdb-video", "list", "compare"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "backbone\tcareless\tForgets a layer.\n" in result.stdout


def test_a_broken_backbone_fails_with_reasons_and_exit_code_1(tool, careless):
    result = tool("check-backbone", "careless", "--imports", "compare", "WIDTH", "6")
    assert result.returncode == 1, result.stderr
    lines = result.stdout.splitlines()
    assert "FAILED  gradients: no gradient reaches spare.weight, spare.bias" in lines
    assert any(line.startswith("FAILED  evaluation: the same clips") for line in lines)
    assert "ok      stages" in lines
    assert len([line for line in lines if line[:8] in ("ok      ", "FAILED  ")]) == len(CHECKS)
    assert "features      6" in lines
    parameters = 6 * (3 * 3**3 + 1) + 2 * (2 + 1)
    assert any(line.startswith(f"parameters    {parameters};") for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("resnet", "unknown backbone 'resnet'; did you mean 'resnet3d'?"),
        ("resnext3d --imports no_module", "IMPORTS: cannot import 'no_module'"),
        ("resnext3d --frames 0", "--frames and --size must be integers >= 1, got (0,)"),
        ("resnext3d WIDHT 3", "unknown key MODEL.RESNEXT3D.WIDHT; did you mean WIDTH?"),
        ("resnext3d WIDTH x", "MODEL.RESNEXT3D.WIDTH must be an integer >= 1, got 'x'"),
        ("resnext3d WIDTH 3", "MODEL.RESNEXT3D: width must be even and >= 2, got 3"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(words, message, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert commands.main(["check-backbone", *words.split()]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


@pytest.mark.gpu
def test_cost_is_measured_on_the_gpu(capsys):
    words = "resnext3d WIDTH 16 CARDINALITY 4 STAGE_BLOCKS [1,1,1,1]"
    assert commands.main(["check-backbone", *words.split()]) == 0
    shown = capsys.readouterr().out
    assert "(all tensors)" in shown
    assert "(cuda; median of" in shown
