"""Where a network looked: against maps that are known, and for every backbone."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from models.small import SMALL, marked_slow
from torch import nn

import cdb_video
from cdb_video.commands import run
from cdb_video.data.decode import VideoReader
from cdb_video.data.lists.records import Record
from cdb_video.engine.use.explain import all_frames, explain, heat_map, with_heat
from cdb_video.errors import ConfigError
from cdb_video.models import build_model
from cdb_video.registry import BACKBONES


class Red(nn.Module):
    """Its feature is the mean of red; the class it speaks for has weight 1."""

    @dataclass(frozen=True)
    class Options:
        """None."""

    def __init__(self, options):
        super().__init__()
        self.num_features = 3
        self.map = nn.Conv3d(3, 3, 1, bias=False)
        self.map.weight.data = torch.eye(3).view(3, 3, 1, 1, 1)

    def forward(self, video):
        return self.map(video).mean(dim=(2, 3, 4))


class Frames(Red):
    """The same frame by frame, and in place after the map."""

    def forward(self, video):
        frames = video.transpose(1, 2).flatten(0, 1)
        maps = self.map(frames.unsqueeze(2)).squeeze(2)
        return self.last(maps).relu_().unflatten(0, (len(video), -1)).mean(dim=(1, 3, 4))

    def __init__(self, options):
        super().__init__(options)
        self.last = nn.Identity()


class Pathways(Red):
    """Red in two pathways, the second on every other frame."""

    class Two(nn.Module):
        def forward(self, x):
            return [x, x[:, :, ::2]]

    def __init__(self, options):
        super().__init__(options)
        self.two = self.Two()

    def forward(self, video):
        one, other = self.two(self.map(video))
        return one.mean(dim=(2, 3, 4)) + other.mean(dim=(2, 3, 4))


class Tokens(Red):
    """A map that comes early and a token each place."""

    token_map = "map"

    def forward(self, video):
        return self.map(video).flatten(2).transpose(1, 2).mean(dim=1)


@pytest.mark.parametrize("kind", [Red, Frames, Pathways, Tokens])
def test_the_map_of_a_linear_network_is_what_its_weights_see(kind, monkeypatch):
    monkeypatch.setitem(BACKBONES._classes._obj_map, "red", kind)
    model = build_model("red", 2).eval()
    model.fc.weight.data = torch.tensor([[1.0, 0, -0.5], [0, 1.0, 0]])
    model.set_normalisation(type(model.normalisation)((0.0,) * 3, (255.0,) * 3))
    video = torch.randint(1, 256, (1, 3, 6, 8, 8), dtype=torch.uint8)
    if kind is Pathways:
        video = video[:, :, :1].expand(-1, -1, 6, -1, -1)  # a map in time is interpolated
    heat = heat_map(model, video, 0)
    wanted = (video[0, 0].double() - 0.5 * video[0, 2].double()).clamp(min=0)
    torch.testing.assert_close(heat.double(), wanted / wanted.max(), atol=1e-5, rtol=0)
    assert heat_map(model, torch.zeros_like(video), 0).max() == 0  # nothing speaks for it


@pytest.mark.parametrize("name", marked_slow(BACKBONES.names()))
def test_every_backbone_can_be_explained(name):
    torch.manual_seed(0)
    model = build_model(name, 3, **SMALL[name]).eval()
    frames, size = model.input_format[:2] if model.fixed_input else (8, 64)
    video = torch.randint(0, 256, (1, 3, frames, size, size), dtype=torch.uint8)
    heat = heat_map(model, video, 1)
    assert heat.shape == video.shape[2:]
    assert heat.isfinite().all()
    assert heat.min() >= 0
    assert float(heat.max()) in (0, pytest.approx(1))
    assert heat.std() > 0 or heat.max() == 0
    assert not any(p.grad is not None for p in model.parameters())


@pytest.fixture(scope="module")
def predictor(trained):
    return cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")


def test_a_video_is_explained_frame_by_frame(predictor, film, tmp_path):
    record = Record(str(film[0]), -1)
    found = explain(predictor, record)
    assert found.class_name == predictor(film[0], views=(1, 1)).class_name
    assert found.clip.shape == (4, 32, 32, 3)
    assert found.heat.shape == (4, 32, 32)
    assert found.times.tolist() == [1.5, 4.5, 7.5, 10.5]
    frames = list(all_frames(predictor, record, found))
    assert [second for second, _ in frames] == [n / 8 for n in range(96)]
    np.testing.assert_array_equal(frames[12][1], with_heat(found.clip[0], found.heat[0]))
    other = explain(predictor, record, "red")
    assert other.class_name == "red"
    with pytest.raises(ConfigError, match="--class must be one of blue, green, red, got 'rad'"):
        explain(predictor, record, "rad")


def test_cold_is_grey_and_hot_is_not():
    picture = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    over = with_heat(picture, heat)
    assert (over[1:] == 20).all()
    assert over[0, 0].max() > 100


def test_the_command_writes_a_strip_and_a_film(trained, film, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = str(trained / "checkpoints" / "best.pt")
    words = ["--checkpoint", checkpoint, "--device", "cpu", "--out", "out"]
    assert run("explain", [*words, str(film[0])]) == 0
    made = capsys.readouterr().out.split()
    assert [re.sub("[0-9a-f]{8}_", "", name) for name in made] == ["out/film.png", "out/film.mp4"]
    with VideoReader(made[1]) as again:
        assert (again.num_frames, again.size) == (96, (32, 32))
    (tmp_path / "broken.mp4").write_bytes(b"x")
    assert run("explain", [*words, "broken.mp4", str(film[0])]) == 1
    said = capsys.readouterr()
    assert "broken.mp4" in said.err
    assert said.out.split() == made
    assert run("explain", [*words, str(film[0]), "--class", "no"]) == 2
