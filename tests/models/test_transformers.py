"""The adapter of transformers' networks against the library itself."""

import importlib
import json
import os
import subprocess
import sys

import pytest
import torch
from models.small import SMALL
from torch import nn

from cdb_video.errors import ConfigError
from cdb_video.models import build_model
from cdb_video.models.weights.files import read_state_dict
from cdb_video.registry import BACKBONES

NAMES = ("videomae", "timesformer", "vivit", "vjepa2")
NUM_CLASSES = 5

every_name = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(params=[*NAMES, "videomae with class token"])
def published(request, tmp_path):
    """(name, a small network of the library with random weights, the folder it is saved in)."""
    name = request.param.split()[0]
    torch.manual_seed(0)
    config = build_model(name, NUM_CLASSES, **SMALL[name]).network.config
    config.num_labels = NUM_CLASSES
    if request.param != name:
        config.use_mean_pooling = False
    module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    network = getattr(module, BACKBONES.get(name).classifier)(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # some start at zero, where a mix-up would not show
            parameter.normal_(std=0.2)
    network.save_pretrained(tmp_path)
    return name, network, tmp_path


@pytest.mark.parametrize("source", ["file", "memory"])
def test_logits_are_the_library_s_own(published, source):
    name, network, folder = published
    tensors = network.state_dict()
    if source == "file":
        tensors = read_state_dict(folder / "model.safetensors")
    model = build_model(name, NUM_CLASSES, config=str(folder)).eval()
    result = model.load_state_dict(
        {model.local_name(key): value for key, value in tensors.items()}, strict=False
    )
    assert result.missing_keys == []
    assert all("predictor" in key for key in result.unexpected_keys)
    video = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        expected = network(video.transpose(1, 2)).logits
        torch.testing.assert_close(model(video), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01


def test_names_of_a_bare_encoder_are_known(published):
    name, network, folder = published
    network.base_model.save_pretrained(folder)
    model = build_model(name, NUM_CLASSES, config=str(folder))
    names = {model.local_name(key) for key in read_state_dict(folder / "model.safetensors")}
    ours = {key for key in model.state_dict() if key.startswith(f"network.{name}.")}
    assert ours == {key for key in names if "predictor" not in key}


@every_name
def test_names_of_the_model_and_unknown_ones_stay(name):
    model = build_model(name, NUM_CLASSES, **SMALL[name])
    for key in (*model.state_dict(), "decoder.norm.weight", "mask_token", "conv1.weight"):
        assert model.local_name(key) == key


@every_name
def test_the_default_is_the_network_whose_input_is_stated(name):
    kind = BACKBONES.get(name)
    with torch.device("meta"):
        backbone = kind(kind.Options())
    assert backbone.input_format == kind.input_format


@every_name
def test_stages_are_embeddings_and_one_a_layer(name):
    model = build_model(name, NUM_CLASSES, **{**SMALL[name], "num_layers": 3})
    assert len(model.stages) == 4
    assert [stage[0].endswith("embeddings") for stage in model.stages] == [True] + 3 * [False]


@pytest.mark.parametrize("name", ["timesformer", "videomae", "vjepa2"])
def test_a_token_is_a_patch_of_this_size(name):
    """Half the size makes four times the tokens, each of a quarter of the pixels."""
    kernels = {}
    for size in (8, 16):
        model = build_model(name, NUM_CLASSES, **{**SMALL[name], "patch_size": size})
        assert model(torch.zeros(1, 3, 4, 32, 32)).shape == (1, NUM_CLASSES)
        convolution = next(m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d)))
        kernels[size] = convolution.weight.shape[-2:]
    assert kernels == {8: (8, 8), 16: (16, 16)}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("videomae", {"num_frames": 5}, "num_frames must be a multiple of .*, 2, got 5"),
        ("timesformer", {"crop_size": 100}, "crop_size must be a multiple of .*, 16, got 100"),
        ("vivit", {"tubelet_size": (2, 16, 15)}, "crop_size must be a multiple of .*, 15, got 32"),
        ("vjepa2", {"num_heads": 7}, "hidden_size must be a multiple of num_heads, 7, got 24"),
    ],
)
def test_options_that_make_no_network_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=f"^{name}: {message}$"):
        build_model(name, NUM_CLASSES, **{**SMALL[name], **options})


def test_another_clip_is_refused_in_one_line():
    model = build_model("vjepa2", NUM_CLASSES, **SMALL["vjepa2"])
    with pytest.raises(
        ConfigError, match="^vjepa2: clips must be 4 frames of 32x32, got 4 of 32x31$"
    ):
        model(torch.zeros(1, 3, 4, 32, 31))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "config.json"),
        ("{", "not a valid JSON file"),
        (json.dumps({"model_type": "vivit"}), "its model_type is vivit"),
        (json.dumps({"model_type": "videomae", "hidden_size": "x"}), "hidden_size"),
    ],
    ids=["absent", "damaged", "another network", "wrong type"],
)
def test_a_config_that_cannot_be_used_is_one_line(tmp_path, content, reason):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=f"^videomae: config must be .*{reason}.*$"):
        build_model("videomae", NUM_CLASSES, config=str(tmp_path))


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="^vivit: config must be .*got 'no-such/network': .+$"):
        build_model("vivit", NUM_CLASSES, config="no-such/network")


def run(program, tmp_path):
    """What a fresh interpreter prints, with ``tmp_path`` first in its search path."""
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_without_the_library_only_its_networks_are_missing(tmp_path):
    program = """
import sys
from cdb_video.errors import ConfigError
from cdb_video.models import build_model
from cdb_video.options import Config
from cdb_video.config.docs import option_help
from cdb_video.registry import BACKBONES
from models.small import SMALL
option_help(Config)
assert "transformers" not in sys.modules
sys.modules["transformers"] = None
for name in BACKBONES.names():
    try:
        build_model(name, 5, **SMALL.get(name, {}))
    except ConfigError as error:
        assert "pip install 'cdb_video[transformers]'" in str(error)
        print(name)
"""
    assert run(program, tmp_path).split() == sorted(NAMES)


def test_a_broken_torchvision_is_no_obstacle(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")\n'
    )
    (tmp_path / "torchvision-0.20.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.20.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.20.0\n"
    )
    program = f"""
import torch
from cdb_video.models import build_model
from models.small import SMALL
for name in {NAMES}:
    logits = build_model(name, 5, **SMALL[name])(torch.zeros(1, 3, 4, 32, 32))
    print(*logits.shape)
"""
    assert run(program, tmp_path) == "1 5\n" * len(NAMES)
