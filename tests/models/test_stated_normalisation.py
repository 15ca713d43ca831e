"""What weights say about the normalisation of their input, in numbers for [0, 255]."""

import json

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from safetensors.torch import save_file

from cdb_video.errors import CheckpointError
from cdb_video.models.weights.files import read_checkpoint
from cdb_video.models.weights.stated_normalisation import normalisation_in


def stated_normalisation(path):
    return normalisation_in({} if path.is_dir() else read_checkpoint(path), path)


def pyslowfast(path, **data):
    cfg = CfgNode({"TRAIN": {"DATASET": "kinetics"}, "DATA": data})
    content = {"epoch": 1, "model_state": {"a": torch.ones(1)}, "cfg": cfg.dump()}
    torch.save(content, path / "net.pyth")
    return path / "net.pyth"


def test_pyslowfast_s_config_is_in_units_of_one(tmp_path):
    path = pyslowfast(
        tmp_path, MEAN=[0.45, 0.46, 0.47], STD=[0.225] * 3, REVERSE_INPUT_CHANNEL=False
    )
    mean, std = stated_normalisation(path)
    assert mean == pytest.approx((114.75, 117.3, 119.85))
    assert std == (57.375, 57.375, 57.375)


def test_bgr_is_refused(tmp_path):
    path = pyslowfast(tmp_path, MEAN=[0.45] * 3, STD=[0.225] * 3, REVERSE_INPUT_CHANNEL=True)
    with pytest.raises(CheckpointError, match=r"REVERSE_INPUT_CHANNEL\); only RGB"):
        stated_normalisation(path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_flip_channel_order": true}')
    with pytest.raises(CheckpointError, match=r"do_flip_channel_order\); only RGB"):
        stated_normalisation(tmp_path)


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ({"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2] * 3}, (102, 127.5, 153), (51,) * 3),
        (
            {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5},
            (63.75,) * 3,
            (63.75,) * 3,
        ),
        ({"do_normalize": False, "image_mean": [0.5] * 3}, (0,) * 3, (255,) * 3),
        (
            {"do_rescale": False, "image_mean": [99, 98, 97], "image_std": [2] * 3},
            (99, 98, 97),
            (2,) * 3,
        ),
        ({"do_rescale": False, "do_normalize": False}, (0,) * 3, (1,) * 3),
    ],
)
def test_a_preprocessor_s_steps(tmp_path, settings, mean, std):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    stated = stated_normalisation(tmp_path)
    assert stated.mean == pytest.approx(mean)
    assert stated.std == pytest.approx(std)


def test_the_video_preprocessor_counts_before_the_image_s(tmp_path):
    for name, value in (("preprocessor", 0.1), ("video_preprocessor", 0.2)):
        settings = {"image_mean": [value] * 3, "image_std": [1] * 3}
        (tmp_path / f"{name}_config.json").write_text(json.dumps(settings))
    assert stated_normalisation(tmp_path).mean == pytest.approx((51, 51, 51))


def test_it_is_what_transformers_computes(tmp_path):
    transformers = pytest.importorskip("transformers")
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    plain = {"do_resize": False, "do_center_crop": False}
    for offset in (True, False):
        processor = transformers.VivitImageProcessor(**plain, offset=offset, image_std=[0.2] * 3)
        processor.save_pretrained(tmp_path)
        expected = processor([picture], return_tensors="np")["pixel_values"].squeeze()
        mean, std = stated_normalisation(tmp_path)
        computed = (picture - np.array(mean)) / np.array(std)
        np.testing.assert_allclose(computed.transpose(2, 0, 1), expected, atol=1e-4)


@pytest.mark.parametrize(
    "content",
    [
        {"conv1.weight": torch.ones(1)},
        {"state_dict": {"conv1.weight": torch.ones(1)}, "arch": "resnext-101"},
        {"model_state": {}, "cfg": "DATA: {PATH_TO_DATA_DIR: x}"},
        {"model_state": {}, "cfg": "not: [yaml"},
        {"model_state": {}, "cfg": "DATA: 3"},
        {"model_state": {}, "cfg": "DATA: !!python/object/apply:os.getcwd []"},
        # Without our versions it is another program's config, in units that are unknown.
        {"model_state": {}, "config": "DATA: {MEAN: [1, 2, 3], STD: [1, 1, 1]}"},
    ],
)
def test_a_file_that_does_not_say_says_nothing(tmp_path, content):
    torch.save(content, tmp_path / "net.pth")
    assert stated_normalisation(tmp_path / "net.pth") is None


def test_safetensors_and_folders_without_a_preprocessor_say_nothing(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    assert stated_normalisation(tmp_path / "model.safetensors") is None
    assert stated_normalisation(tmp_path) is None
    (tmp_path / "preprocessor_config.json").write_text('{"do_resize": true}')
    assert stated_normalisation(tmp_path) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"MEAN": [0.45], "STD": [0.2] * 3}, "the mean of its input must be a list of 3"),
        ({"MEAN": [0.45] * 3, "STD": [0.2, 0.0, 0.2]}, "the std of its input must be a list of 3"),
        ({"MEAN": ["a"] * 3, "STD": [1, 1, 1]}, "the mean of its input must be a list of 3"),
    ],
)
def test_numbers_that_make_no_sense_are_one_clear_line(tmp_path, data, message):
    with pytest.raises(CheckpointError, match=rf"net\.pyth: {message}") as caught:
        stated_normalisation(pyslowfast(tmp_path, **data))
    assert "\n" not in str(caught.value)
