"""Weight files: what loads, what is reported, and what a bad or hostile file can not do."""

import os
import pickle
from functools import partial

import pytest
import safetensors.torch
import torch

from cdb_video.errors import CheckpointError
from cdb_video.models import (
    Checkpoint,
    build_model,
    load_weights,
    read_checkpoint,
    read_state_dict,
)

SMALL = {"width": 16, "cardinality": 4, "stage_blocks": (1, 1, 1, 1)}


def small_model(num_classes=5, seed=0, **options):
    torch.manual_seed(seed)
    return build_model("resnext3d", num_classes, **{**SMALL, **options})


def kinetics_style_checkpoint(model):
    """As PyTorch 0.3 saved it: ``DataParallel`` names, no ``num_batches_tracked``."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return {
        "epoch": 127,
        "arch": "resnext-101",
        "state_dict": {
            f"module.{name}": value
            for name, value in model.state_dict().items()
            if not name.endswith("num_batches_tracked")
        },
        "optimizer": optimizer.state_dict(),
    }


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "old format"])
def test_a_kinetics_checkpoint_loads_all_but_the_head(tmp_path, zip_format):
    source, model = small_model(400, seed=1), small_model(5, seed=2)
    source.train()(torch.randn(2, 3, 4, 32, 32))  # so that running statistics are worth loading
    path = tmp_path / "resnext-101-kinetics.pth"
    torch.save(kinetics_style_checkpoint(source), path, _use_new_zipfile_serialization=zip_format)
    before = snapshot(model)

    report = load_weights(model, path)

    head = ["fc.weight", "fc.bias"]
    assert report.mismatched == head
    assert report.missing == report.unexpected == []
    kept = {name for name in before if name in head or name.endswith("num_batches_tracked")}
    assert set(report.loaded) == set(before) - kept
    after = model.state_dict()
    assert_same({name: after[name] for name in kept}, {name: before[name] for name in kept})
    assert_same(
        {name: after[name] for name in report.loaded},
        {name: source.state_dict()[name] for name in report.loaded},
    )
    assert len(str(report).splitlines()) == 1
    assert f"loaded {len(report.loaded)} of {len(report.loaded) + 2} tensors" in str(report)
    assert "skipped for their shape 2 (fc.weight, fc.bias)" in str(report)
    assert report.fraction == 1.0
    assert "100.0% of the backbone's parameters" in str(report)


def test_the_published_network_takes_its_checkpoint(tmp_path):
    path = tmp_path / "resnext-101-kinetics.pth"
    torch.save(kinetics_style_checkpoint(build_model("resnext3d", 400)), path)
    report = load_weights(build_model("resnext3d", 19), path)
    assert (report.missing, report.unexpected) == ([], [])
    assert report.mismatched == ["fc.weight", "fc.bias"]


def test_a_head_of_the_same_size_is_loaded_too(tmp_path):
    source, model = small_model(seed=1), small_model(seed=2)
    torch.save(source.state_dict(), tmp_path / "same.pt")
    report = load_weights(model, tmp_path / "same.pt")
    assert report.missing == report.unexpected == report.mismatched == report.inflated == []
    assert_same(model.state_dict(), source.state_dict())


def test_another_shortcut_is_reported_by_name(tmp_path):
    torch.save(small_model(shortcut="B").state_dict(), tmp_path / "b.pt")
    torch.save(small_model(shortcut="A").state_dict(), tmp_path / "a.pt")
    report = load_weights(small_model(shortcut="A"), tmp_path / "b.pt")
    assert report.missing == []
    assert all(".0.downsample." in name for name in report.unexpected)
    assert "layer1.0.downsample.0.weight" in report.unexpected
    assert str(report).count("layer") == 4
    report = load_weights(small_model(shortcut="B"), tmp_path / "a.pt")
    assert "layer4.0.downsample.1.running_var" in report.missing
    assert report.unexpected == []


def test_a_file_with_too_little_of_the_backbone_is_refused_and_changes_nothing(tmp_path):
    source, model = small_model(seed=1), small_model(seed=2)
    weights, before = source.state_dict(), snapshot(model)
    conv1 = weights.pop("conv1.weight")
    torch.save(weights, tmp_path / "part.pt")
    of_backbone = [p.numel() for n, p in model.named_parameters() if not n.startswith("fc.")]
    fraction = 1 - conv1.numel() / sum(of_backbone)
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, tmp_path / "part.pt", fraction + 1e-6)
    assert len(str(caught.value).splitlines()) == 1
    assert f"{fraction:.1%} of the backbone's parameters fit" in str(caught.value)
    assert "MODEL.PRETRAINED_MIN_FRACTION" in str(caught.value)
    assert_same(model.state_dict(), before)
    report = load_weights(model, tmp_path / "part.pt", fraction - 1e-6)
    assert report.fraction == pytest.approx(fraction)
    assert report.missing == ["conv1.weight"]
    assert_same({**model.state_dict(), "conv1.weight": conv1}, source.state_dict())


def test_the_head_counts_neither_for_nor_against(tmp_path):
    source = small_model(num_classes=100_000, seed=1).state_dict()  # larger than the backbone
    torch.save(source, tmp_path / "head.pt")
    assert load_weights(small_model(5), tmp_path / "head.pt").fraction == 1.0
    torch.save({n: v for n, v in source.items() if n.startswith("fc.")}, tmp_path / "only.pt")
    with pytest.raises(CheckpointError, match=r"0\.0% of the backbone's parameters fit"):
        load_weights(small_model(100_000), tmp_path / "only.pt", 1e-9)


def test_networks_of_another_depth_are_refused_unless_asked_for(tmp_path):
    torch.save(build_model("resnext3d", 5, depth=50).state_dict(), tmp_path / "50.pt")
    model = build_model("resnext3d", 5, depth=101)
    with pytest.raises(CheckpointError, match="54.4% of the backbone's parameters fit"):
        load_weights(model, tmp_path / "50.pt")
    assert load_weights(model, tmp_path / "50.pt", 0.5).missing


def test_a_file_for_another_network_is_refused_and_changes_nothing(tmp_path):
    model = small_model()
    before = snapshot(model)
    # The head alone would fit, and so would batch-norm counters: neither makes it our network.
    other = {name: model.state_dict()[name] + 1 for name in ("fc.bias", "bn1.num_batches_tracked")}
    torch.save({"blocks.0.weight": torch.zeros(3), **other}, tmp_path / "other.pt")
    message = r"begins with conv1\.weight \(8, 3, 7, 7, 7\), the file with blocks\.0\.weight \(3,\)"
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, tmp_path / "other.pt")
    assert_same(model.state_dict(), before)


@pytest.mark.parametrize("key", ["state_dict", "model_state", "model"])
def test_wrapped_weights_are_found(tmp_path, key):
    weights = {"conv1.weight": torch.arange(6.0)}
    torch.save({"epoch": 3, key: weights}, tmp_path / "wrapped.pt")
    assert_same(read_state_dict(tmp_path / "wrapped.pt"), weights)


def test_module_prefix_is_dropped_only_where_every_name_has_it(tmp_path):
    torch.save({"module.a": torch.ones(1), "module.module.b": torch.ones(2)}, tmp_path / "all.pt")
    assert set(read_state_dict(tmp_path / "all.pt")) == {"a", "module.b"}
    torch.save({"module.a": torch.ones(1), "b": torch.ones(2)}, tmp_path / "some.pt")
    assert set(read_state_dict(tmp_path / "some.pt")) == {"module.a", "b"}


def test_prefixes_of_several_wrappers_are_dropped_in_any_order(tmp_path):
    for names in ("module._orig_mod.a", "_orig_mod.module.a", "_orig_mod.a"):
        torch.save({names: torch.ones(1)}, tmp_path / "wrapped.pt")
        assert set(read_state_dict(tmp_path / "wrapped.pt")) == {"a"}


def test_safetensors(tmp_path):
    source, model = small_model(seed=1), small_model(seed=2)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "weights.safetensors")
    report = load_weights(model, tmp_path / "weights.safetensors")
    assert report.missing == report.mismatched == []
    assert_same(model.state_dict(), source.state_dict())


def test_a_checkpoint_with_plain_values_comes_back_whole(tmp_path):
    content = {"epoch": 3, "best": 0.5, "rng": [1, (2, None)], "model_state": {"a": torch.eye(2)}}
    torch.save(content, tmp_path / "run.pt")
    loaded = read_checkpoint(tmp_path / "run.pt")
    assert torch.equal(loaded.pop("model_state")["a"], torch.eye(2))
    assert loaded == {"epoch": 3, "best": 0.5, "rng": [1, (2, None)]}


class Hostile:
    """Unpickling this creates a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "old format"])
def test_code_in_a_file_never_runs(tmp_path, zip_format):
    canary, path = tmp_path / "canary", tmp_path / "hostile.pt"
    torch.save(
        {"state_dict": {"conv1.weight": torch.zeros(1)}, "extra": Hostile(canary)},
        path,
        _use_new_zipfile_serialization=zip_format,
    )
    load = partial(load_weights, small_model())
    for read in (read_checkpoint, read_state_dict, Checkpoint.read, load):
        with pytest.raises(CheckpointError, match=r"hostile\.pt: refused, .*mkdir") as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert not canary.exists()


def test_the_hostile_file_would_run_without_protection(tmp_path):
    path = tmp_path / "hostile.pkl"
    path.write_bytes(pickle.dumps(Hostile(tmp_path / "canary")))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not (tmp_path / "canary").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "canary").exists()


def truncated(path):
    torch.save(small_model().state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_head_bias(path, value):
    """All tensors fit but the last one, so a loader that does not look first has copied most."""
    torch.save({**small_model(seed=1).state_dict(), "fc.bias": value}, path)


BAD_FILES = {
    "missing.pt": lambda path: None,
    "folder.pt": lambda path: path.mkdir(),
    "empty.pt": lambda path: path.touch(),
    "cut.pt": truncated,
    "text.pt": lambda path: path.write_text("epoch: 3\nlr: 0.1\n"),
    "noise.pt": lambda path: path.write_bytes(bytes(range(256)) * 64),
    "noise.safetensors": lambda path: path.write_bytes(bytes(range(256)) * 64),
    "list.pt": lambda path: torch.save([torch.zeros(1)], path),
    "numbered.pt": lambda path: torch.save({0: torch.zeros(1)}, path),
    "numbered inside.pt": lambda path: torch.save({"model": {0: torch.zeros(1)}}, path),
    "nothing.pt": lambda path: torch.save({"state_dict": {}}, path),
    "numbers.pt": lambda path: torch.save({"conv1.weight": 3.0}, path),
    "sparse.pt": lambda path: with_head_bias(path, torch.ones(5).to_sparse()),
    "quantised.pt": lambda path: with_head_bias(
        path, torch.quantize_per_tensor(torch.ones(5), 0.1, 0, torch.qint8)
    ),
    "meta.pt": lambda path: with_head_bias(path, torch.ones(5, device="meta")),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_clear_line_and_changes_nothing(tmp_path, name):
    model = small_model()
    before = snapshot(model)
    BAD_FILES[name](tmp_path / name)
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert ("no such file" in str(caught.value)) == (name in ("missing.pt", "folder.pt"))
    assert_same(model.state_dict(), before)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_safetensors_file_is_refused(tmp_path, kept):
    path = tmp_path / "cut.safetensors"
    safetensors.torch.save_file(small_model().state_dict(), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors: not a readable weight file"):
        read_state_dict(path)
