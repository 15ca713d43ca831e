"""A checkpoint is read once, and enough to rebuild its model."""

import copy
import pickle
import subprocess
import sys
from dataclasses import fields

import pytest
import torch
import yaml
from small import LARGE, SMALL, marked_slow

from cdb_video import options
from cdb_video.engine.train.loop import train
from cdb_video.errors import CheckpointError
from cdb_video.models import Architecture, Checkpoint, build_model, read_checkpoint
from cdb_video.models.tuning.checkpointing import checkpoint_stages
from cdb_video.models.tuning.freezing import freeze_norms, freeze_stages
from cdb_video.models.weights import files
from cdb_video.registry import BACKBONES

CLIPS = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)


@pytest.fixture(scope="module")
def best(tmp_path_factory, colour_clips):
    """best.pt of a run of one epoch, with precise options."""
    folder = tmp_path_factory.mktemp("trained")
    path = folder / "tiny.yaml"
    path.write_text(f"""
DATA: {{NAME: clips, NUM_FRAMES: 3, CROP_SIZE: 16, SAMPLING: dense, SAMPLING_RATE: 2,
  STD: [60, 60, 60], CLIPS: {{ROOT: '{colour_clips}'}}}}
MODEL: {{NAME: resnext3d, HEAD: cosine,
  RESNEXT3D: {{STAGE_BLOCKS: [1, 1, 1, 1], WIDTH: 8, CARDINALITY: 2}}}}
SOLVER: {{MAX_EPOCH: 1, STEPS: [0], LRS: [1]}}
DATA_LOADER: {{NUM_WORKERS: 0}}
DEVICE: cpu
OUTPUT_DIR: '{folder / "out"}'
""")
    train(options.load(path))
    return folder / "out" / "checkpoints" / "best.pt"


def test_it_says_all_that_its_user_needs(best):
    checkpoint = Checkpoint.read(best)
    assert checkpoint.class_names == ["blue", "green", "red"]
    assert checkpoint.groups == ["majority", "minority", "minority"]
    assert checkpoint.epoch == 1
    assert checkpoint.input_format == (3, 16, (114.7748, 107.7354, 99.475), (60, 60, 60))
    assert checkpoint.sampling == {"num_frames": 3, "sampling": "dense", "sampling_rate": 2}
    assert checkpoint.config["MODEL"]["HEAD"] == "cosine"
    assert set(checkpoint.versions) == {"cdb_video", "torch", "python"}
    assert checkpoint.training is None
    assert "optimizer_state" in Checkpoint.read(best, training=True).training


def test_the_model_is_rebuilt_without_its_yaml(best):
    """In a process that has neither the config nor the data."""
    torch.save(CLIPS, best.with_name("clips"))
    code = (
        "import sys, torch; from cdb_video.models import Checkpoint\n"
        "model = Checkpoint.read(sys.argv[1]).open()\n"
        "clips = torch.load(sys.argv[2], weights_only=True)\n"
        "torch.save(model(clips).detach(), sys.argv[3])"
    )
    words = [str(best), str(best.with_name("clips")), str(best.with_name("logits"))]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    tiny = {"stage_blocks": (1, 1, 1, 1), "width": 8, "cardinality": 2}
    model = build_model("resnext3d", 3, head="cosine", **tiny).eval()
    model.load_state_dict(read_checkpoint(best)["model_state"])
    mean, std = (torch.tensor(x).view(3, 1, 1, 1) for x in Checkpoint.read(best).normalisation)
    with torch.no_grad():
        expected = model((CLIPS - mean) / std)
    got = torch.load(best.with_name("logits"), weights_only=True)
    torch.testing.assert_close(got, expected)


def test_architecture_and_checkpoint_agree(best):
    """What is stored is what the options said, and what a file of before says in its config."""
    content, config = read_checkpoint(best), options.load(best.parents[1] / "config.yaml")
    wanted = Architecture.of(config.model)
    assert (wanted.head, wanted.options.width) == ("cosine", 8)
    assert Checkpoint.read(best).architecture == wanted
    assert Checkpoint.read(best).open().architecture == wanted
    torch.save({k: v for k, v in content.items() if k != "architecture"}, best.with_name("0.1.pt"))
    assert Checkpoint.read(best.with_name("0.1.pt")).architecture == wanted
    # The options of a run may say more than its network is, never something else.
    known = {field.name for field in fields(Architecture)}
    assert known <= {field.name for field in fields(config.model)}


def test_it_is_read_once(best, monkeypatch):
    reads, original = [], files.torch.load
    monkeypatch.setattr(files.torch, "load", lambda *a, **k: reads.append(a) or original(*a, **k))
    model = Checkpoint.read(best).open()
    assert model.normalisation.std == (60, 60, 60)
    assert len(reads) == 1


def test_bytes_are_normalised_in_the_model_and_floats_are_not(best):
    model = Checkpoint.read(best).open()
    mean, std = (torch.tensor(x).view(3, 1, 1, 1) for x in model.normalisation)
    with torch.no_grad():
        torch.testing.assert_close(model(CLIPS), model((CLIPS.float() - mean) / std))
        assert not torch.allclose(model(CLIPS), model(CLIPS.float()))


def test_precision_belongs_to_the_model(best):
    content = read_checkpoint(best)
    tree = yaml.safe_load(content["config"])
    tree["TRAIN"]["MIXED_PRECISION"] = True
    del content["precision"]  # as before TRAIN.PRECISION
    torch.save({**content, "config": yaml.safe_dump(tree)}, best.with_name("half.pt"))
    model = Checkpoint.read(best.with_name("half.pt")).open()
    assert model.precision == "bf16"
    with torch.no_grad():
        assert model(CLIPS).dtype == torch.bfloat16


def test_an_older_checkpoint_says_as_much(best):
    """It has numbers in the text of its config, no groups, and sections of other names."""
    content = read_checkpoint(best)
    tree = yaml.safe_load(content["config"])
    tree["DATA"]["MEAN"] = [114.7748, 107.7354, 99.475]
    del tree["TRAIN"]["CHECKPOINT_MINUTES"]
    old = {**content, "config": yaml.safe_dump(tree)}
    for name in ("normalisation", "groups", "step", "processes", "precision"):
        del old[name]
    torch.save(old, best.with_name("old.pt"))
    checkpoint = Checkpoint.read(best.with_name("old.pt"))
    assert checkpoint.normalisation == Checkpoint.read(best).normalisation
    assert checkpoint.groups is None
    with torch.no_grad():
        model, other = checkpoint.open(), Checkpoint.read(best).open()
        assert torch.equal(model(CLIPS), other(CLIPS))


def test_a_file_of_another_program_gives_what_it_has(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "weights.pth")
    checkpoint = Checkpoint.read(tmp_path / "weights.pth")
    assert set(checkpoint.tensors) == {"a"}
    assert (checkpoint.normalisation, checkpoint.class_names, checkpoint.epoch) == (None, None, 0)
    message = r"weights\.pth must be a checkpoint of cdb_video with "
    with pytest.raises(CheckpointError, match=message + "class names"):
        checkpoint.open()
    with pytest.raises(CheckpointError, match=message + r"DATA\.NUM_FRAMES"):
        assert checkpoint.sampling


@pytest.mark.parametrize("name", marked_slow(BACKBONES.names(), set(LARGE) - {"slow_r50"}))
def test_models_can_be_pickled_and_copied_also_when_tuned(name):
    model = build_model(name, 3, **SMALL.get(name, {}))
    freeze_stages(model, 1)
    freeze_norms(model)
    checkpoint_stages(model)
    frames, size = model.input_format[:2] if model.fixed_input else (4, 32)
    video = torch.randint(0, 256, (1, 3, frames, size, size), dtype=torch.uint8)
    twins = pickle.loads(pickle.dumps(model)), copy.deepcopy(model)
    with torch.no_grad():
        expected = model.eval()(video)
        for twin in twins:
            assert type(twin) is type(model)
            assert torch.equal(twin.eval()(video), expected)
            assert twin.state_dict().keys() == model.state_dict().keys()
