"""Weights as other programs lay them out, loaded into a network that has names of its own."""

import argparse
import collections
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from models.stand_in import published_names, stand_in
from safetensors.torch import load_file, save_file
from torch import nn

from cdb_video.errors import CheckpointError
from cdb_video.models import load_weights, read_state_dict


def pytorchvideo_hub(model, path):
    torch.save({"model_state": published_names(model)}, path / "SLOW.pyth")
    return path / "SLOW.pyth"


def pyslowfast(model, path):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.zeros(1, 3, 4, 8, 8)).sum().backward()
    optimizer.step()  # so that the optimiser has a state
    content = {
        "epoch": 195,
        "model_state": published_names(model),
        "optimizer_state": optimizer.state_dict(),
        "cfg": CfgNode({"DATA": {"MEAN": [0.45] * 3, "STD": [0.225] * 3}}).dump(),
        "scaler_state": torch.amp.GradScaler("cpu").state_dict(),
    }
    torch.save(content, path / "checkpoint_epoch_00196.pyth")
    return path / "checkpoint_epoch_00196.pyth"


def lightning(model, path):
    weights = {f"model.{name}": value for name, value in published_names(model).items()}
    content = {
        "epoch": 9,
        "global_step": 1000,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": weights,
        "loops": {},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 0.1},
    }
    torch.save(content, path / "epoch=9.ckpt")
    return path / "epoch=9.ckpt"


def data_parallel_and_compiled(model, path):
    weights = {f"module._orig_mod.{name}": v for name, v in published_names(model).items()}
    torch.save(weights, path / "compiled.pt")
    return path / "compiled.pt"


def safetensors_file(model, path):
    save_file(published_names(model), path / "net.safetensors", metadata={"format": "pt"})
    return path / "net.safetensors"


def safetensors_folder(model, path):
    (path / "config.json").write_text('{"model_type": "any"}')
    save_file(published_names(model), path / "model.safetensors", metadata={"format": "pt"})
    return path


def pickled_folder(model, path):
    (path / "config.json").write_text('{"model_type": "any"}')
    torch.save(published_names(model), path / "pytorch_model.bin")
    return path


def under(prefix, wrapper="state_dict", **beside):
    """Writes names after ``prefix``, and other tensors beside them."""

    def write(model, path):
        weights = {f"{prefix}{name}": value for name, value in published_names(model).items()}
        content = {wrapper: {**beside, **weights}, "args": argparse.Namespace(out=Path("/x"))}
        content |= {"best": np.float64(0.5), "seen": collections.defaultdict(list, a=[1])}
        torch.save(content if wrapper else content[wrapper], path / "other.pt")
        return path / "other.pt"

    write.__name__ = f"{wrapper}: {prefix}{', '.join(beside)}"
    return write


ONE = torch.ones(3)
OTHERS = (
    under("model.", criterion_weight=ONE, **{"criterion.weight": ONE}),
    under("module.", n_averaged=torch.tensor(7)),
    *map(under, ("model.module.", "model._orig_mod.", "net.", "backbone.", "a.b.c.")),
    under("", "model_state_dict"),
    under("", "net"),
    under("module.", "weights", **{"loss.weight": ONE}),
)


@pytest.mark.parametrize("write", OTHERS, ids=lambda write: write.__name__)
def test_what_stands_before_the_names_or_beside_them_does_not_matter(tmp_path, monkeypatch, write):
    source, model = (stand_in(monkeypatch, 5, seed=seed) for seed in (0, 1))
    report = load_weights(model, write(source, tmp_path))
    assert report.fraction == 1.0
    assert report.missing == report.mismatched == []
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def test_averaged_weights_are_taken_before_others(tmp_path, monkeypatch):
    last, average, model = (stand_in(monkeypatch, 5, seed=seed) for seed in (0, 1, 2))
    content = {"state_dict": last.state_dict(), "state_dict_ema": average.state_dict()}
    torch.save(content, tmp_path / "timm.pth")
    load_weights(model, tmp_path / "timm.pth")
    assert torch.equal(model.fc.weight, average.fc.weight)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!DOCTYPE html><title>Sign in</title>", "it is an HTML or XML page"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("epoch 1\n", "it is text"),
        ("", "it is empty"),
    ],
)
def test_a_file_that_holds_no_weights_says_what_it_is(tmp_path, text, reason):
    (tmp_path / "net.pth").write_text(text)
    with pytest.raises(CheckpointError, match=rf"net\.pth: .*{reason}"):
        read_state_dict(tmp_path / "net.pth")


WRITERS = (
    *(pytorchvideo_hub, pyslowfast, lightning, data_parallel_and_compiled),
    *(safetensors_file, safetensors_folder, pickled_folder),
)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("num_classes", [3, 5], ids=["another head", "the same head"])
def test_every_layout_loads_under_the_network_s_own_names(
    tmp_path, monkeypatch, write, num_classes
):
    source, model = (stand_in(monkeypatch, n, seed=n) for n in (5, num_classes))
    head = ["fc.weight", "fc.bias"] if num_classes != 5 else []
    path = write(source, tmp_path)
    report = load_weights(model, path)
    assert report.fraction == 1.0
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], head)
    assert report.path == str(path)
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value) == (name not in head), name


def test_what_is_not_used_is_named_as_in_the_file(tmp_path, monkeypatch):
    model = stand_in(monkeypatch, 5)
    weights = {**published_names(model), "blocks.9.gate": torch.ones(1)}
    torch.save({"model_state": weights}, tmp_path / "more.pyth")
    assert load_weights(model, tmp_path / "more.pyth").unexpected == ["blocks.9.gate"]


def test_a_backbone_without_parameters_needs_none_of_them(tmp_path):
    model = nn.ModuleDict({"fc": nn.Linear(3, 2)})
    torch.save(model.state_dict(), tmp_path / "head.pt")
    assert load_weights(model, tmp_path / "head.pt").fraction == 1.0


def test_two_tensors_for_one_place_are_refused(tmp_path, monkeypatch):
    model = stand_in(monkeypatch, 5)
    weights = {**published_names(model), "stem.weight": torch.ones(4, 3, 3, 3, 3)}
    torch.save(weights, tmp_path / "twice.pt")
    with pytest.raises(
        CheckpointError, match=r"blocks\.0\.conv\.weight and stem\.weight are both stem\.weight"
    ):
        load_weights(model, tmp_path / "twice.pt")


def test_folders_that_transformers_writes(tmp_path):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = transformers.VideoMAEConfig(
        **small, intermediate_size=32, image_size=32, num_frames=4, num_labels=3
    )
    model = transformers.VideoMAEForVideoClassification(config)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert (tmp_path / "whole" / "model.safetensors").is_file()
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    whole = read_state_dict(tmp_path / "whole")
    assert whole["classifier.weight"].equal(model.state_dict()["classifier.weight"])
    parts = read_state_dict(tmp_path / "parts")
    assert parts.keys() == whole.keys()
    assert all(torch.equal(parts[name], value) for name, value in whole.items())


def sharded(path, form, weight_map):
    (path / f"{form}.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_pickled_parts(tmp_path):
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    for name, key in zip(names, "ab", strict=True):
        torch.save({key: torch.full((2,), float(ord(key)))}, tmp_path / name)
    sharded(tmp_path, "pytorch_model.bin", {"a": names[0], "b": names[1]})
    assert {k: v[0].item() for k, v in read_state_dict(tmp_path).items()} == {"a": 97, "b": 98}


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "gone.safetensors"}, r"gone\.safetensors: no such file"),
        ({"a": "../outside.safetensors"}, "weight_map must name the file of each tensor"),
        ({"a": 3}, "weight_map must name the file of each tensor"),
        (["a"], "weight_map must name the file of each tensor"),
    ],
)
def test_an_index_that_leads_nowhere_is_one_clear_line(tmp_path, weight_map, message):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": torch.ones(1)}, tmp_path / "outside.safetensors")
    assert set(load_file(tmp_path / "outside.safetensors")) == {"a"}
    sharded(folder, "model.safetensors", weight_map)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_state_dict(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_and_a_damaged_index_are_one_clear_line(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"no such file in this folder: model\.safetensors or"
    ):
        read_state_dict(tmp_path)
    for text in ("{", "[1]", "\x00"):
        (tmp_path / "model.safetensors.index.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"index\.json: ") as caught:
            read_state_dict(tmp_path)
        assert "\n" not in str(caught.value)
