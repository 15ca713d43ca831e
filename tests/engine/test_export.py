"""Exported models give what the model gives, on real clips, in other runtimes; or are not there."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors
import torch
from videos import with_matrix, write_video

import cdb_video
from cdb_video.commands import run
from cdb_video.engine.use import export as exporting
from cdb_video.engine.use.export import Exported, export, own_records
from cdb_video.engine.use.predictor import Predictor
from cdb_video.errors import ConfigError
from cdb_video.models import Checkpoint

ROOT = Path(__file__).parents[2]
SMALL = {
    "resnext3d": "{STAGE_BLOCKS: [1, 1, 1, 1], WIDTH: 8, CARDINALITY: 2}",
    "slowfast_r50": "{WIDTH: 8, BETA_INV: 4, ZERO_INIT_FINAL_BN: false}",
    "x3d_xs": "{WIDTH_FACTOR: 0.5, DEPTH_FACTOR: 0.5, ZERO_INIT_FINAL_BN: false}",
    "r2plus1d_r50": "{WIDTH: 8, ZERO_INIT_FINAL_BN: false}",
    "mvit_b": "{NUM_FRAMES: 4, CROP_SIZE: 32, EMBED_DIM: 8}",
    "videomae": "{NUM_FRAMES: 4, CROP_SIZE: 32, HIDDEN_SIZE: 24, NUM_LAYERS: 2, NUM_HEADS: 2}",
}


@pytest.fixture
def exported(trained, tmp_path, capsys):
    """(*words) -> (exit code, stdout, stderr)."""

    def exported(*words):
        checkpoint = ("--checkpoint", trained / "checkpoints" / "best.pt")
        code = run("export", [str(word) for word in (*checkpoint, *words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return exported


def clips_of(predictor, count=5):
    found = exporting._clips(predictor, own_records(predictor, count))
    return found[0]


def test_onnx_says_all_that_a_program_needs(exported, trained, tmp_path):
    path = tmp_path / "model.onnx"
    code, out, err = exported("--format", "onnx", "--out", path)
    assert code == 0, err
    assert "same class in 7 of 7 clips" in out
    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_inputs()[0].shape[1:] == [3, 4, 32, 32]
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert about["class_names"] == ["blue", "green", "red"]
    assert (about["num_frames"], about["crop_size"], about["sampling"]) == (4, 32, "segments")
    assert about["fps"] == 24
    assert set(about["versions"]) == {"cdb_video", "torch", "python"}
    predictor = cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")
    clips = clips_of(predictor)
    for size in (1, 2, 5):
        [got] = session.run(None, {"video": clips[:size]})
        with torch.inference_mode():
            wanted = predictor.model(torch.from_numpy(clips[:size])).softmax(1).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-5)


ODD_FILES = {
    "plain": {"size": (64, 96)},
    "odd sizes": {"size": (69, 51), "codec": "mpeg4"},
    "large and odd": {"size": (83, 131), "codec": "mpeg4"},
    "twice as large": {"size": (70, 98), "codec": "mpeg4"},
    "smaller than the clip": {"size": (22, 30)},
    "variable rate": {"ticks": [t * (1 + t // 9) for t in range(24)]},
    "90": {"matrix": (0, 1, -1, 0)},
    "270": {"matrix": (0, -1, 1, 0), "size": (48, 70)},
    "180": {"matrix": (-1, 0, 0, -1)},
}


@pytest.mark.parametrize("words", [(), ("DATA.SAMPLING", "dense", "DATA.SAMPLING_FPS", 8.0)])
def test_the_script_in_the_docs_gives_the_scores_of_predict(words, tiny_yaml, tmp_path):
    """Without this package; for files that people really have."""
    given = {**dict(zip(words[::2], words[1::2], strict=True)), "SOLVER.MAX_EPOCH": 1}
    given["OUTPUT_DIR"] = str(tmp_path / "out")
    cdb_video.train(cdb_video.Config.load(tiny_yaml, given))
    predictor = cdb_video.load(tmp_path / "out" / "checkpoints" / "best.pt", device="cpu")
    export(predictor, "onnx", tmp_path / "model.onnx", own_records(predictor, 2))
    code = (ROOT / "docs" / "export.md").read_text().split("```python\n")[1].split("```")[0]
    assert "cdb_video" not in code
    assert "torch" not in code
    (tmp_path / "run_onnx.py").write_text(code)
    for name, made in ODD_FILES.items():
        matrix = made.get("matrix")
        others = {key: value for key, value in made.items() if key != "matrix"}
        path = write_video(tmp_path / f"{name}.mp4", 24, **others)
        if matrix:
            with_matrix(path, *matrix)
        line = [sys.executable, "-I", "run_onnx.py", "model.onnx", path]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        found = dict(line.split()[::-1] for line in done.stdout.splitlines())
        ours = dict(predictor(path, views=(1, 1)).top())
        assert {key: float(score) for key, score in found.items()} == pytest.approx(
            ours, abs=1e-3
        ), name


def test_metadata_hold_all_that_the_predictor_uses(trained):
    predictor = cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")
    about = exporting.metadata_of(predictor)
    used = {
        "checkpoint": ("groups", "epoch", "versions"),
        "device": (),
        "model": ("normalisation", "backbone"),
        "class_names": ("class_names",),
        "sampling": [field.name for field in fields(predictor.sampling)],
        "decoding": ("decoding",),
        "size": ("crop_size",),
        "views": ("views",),
        "average": ("average",),
    }
    assert vars(predictor).keys() == used.keys()
    assert {key for keys in used.values() for key in keys} <= about.keys()
    assert about["decoding"].keys() == {field.name for field in fields(predictor.decoding)}
    assert (about["average"], about["views"]) == ("logits", {"temporal": 2, "spatial": 3})


def test_torch_export_and_safetensors(exported, trained, tmp_path):
    predictor = cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")
    clips = torch.from_numpy(clips_of(predictor))
    with torch.inference_mode():
        wanted = Exported(predictor.model)(clips)
    code, out, _ = exported("--format", "torch_export", "--out", tmp_path / "model.pt2")
    assert (code, "same class in 7 of 7" in out) == (0, True)
    extra = {"metadata.json": ""}
    with open(tmp_path / "model.pt2", "rb") as file:
        program = torch.export.load(file, extra_files=extra)
    torch.testing.assert_close(program.module()(clips), wanted, atol=1e-6, rtol=0)
    assert json.loads(extra["metadata.json"])["class_names"] == ["blue", "green", "red"]
    code, out, _ = exported("--format", "safetensors", "--out", tmp_path / "m.safetensors")
    assert (code, "same class in 7 of 7" in out) == (0, True)
    with safetensors.safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert set(file.keys()) == set(predictor.model.state_dict())
        assert json.loads(file.metadata()["metadata"])["backbone"] == "resnext3d"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in SMALL if n != "resnext3d"])
def test_backbones_run_in_onnxruntime(name, colour_clips, tmp_path):
    yaml = f"""
DATA: {{NAME: clips, NUM_FRAMES: 4, CROP_SIZE: 32, CLIPS: {{ROOT: "{colour_clips}"}}}}
MODEL: {{NAME: {name}, {name.upper()}: {SMALL[name]}}}
SOLVER: {{MAX_EPOCH: 1}}
TRAIN: {{BATCH_SIZE: 4}}
DATA_LOADER: {{NUM_WORKERS: 0}}
DEVICE: cpu
OUTPUT_DIR: "{tmp_path / "out"}"
"""
    (tmp_path / "tiny.yaml").write_text(yaml)
    cdb_video.train(cdb_video.Config.load(tmp_path / "tiny.yaml"))
    predictor = cdb_video.load(tmp_path / "out" / "checkpoints" / "best.pt", device="cpu")
    parity = export(predictor, "onnx", tmp_path / "m.onnx", own_records(predictor, 7))
    assert parity.num_same == parity.num_clips == 7
    assert parity.largest_difference < 1e-4
    onnx.checker.check_model(str(tmp_path / "m.onnx"))


@pytest.mark.parametrize("kind", exporting.WRITERS)
def test_a_model_that_differs_is_not_left_behind(exported, tmp_path, kind, monkeypatch):
    # Made of other weights than those that it is compared with.
    write = exporting.WRITERS[kind]

    def spoilt(model, predictor, clips, path, metadata):
        run = write(model, predictor, clips, path, metadata)
        with torch.no_grad():
            predictor.model.fc.bias += torch.tensor([9.0, 0, 0])
        return run

    monkeypatch.setitem(exporting.WRITERS, kind, spoilt)
    code, out, err = exported("--format", kind, "--out", tmp_path / "model")
    assert (code, out) == (1, "")
    assert "is not written" in err
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_line(exported, tmp_path, colour_clips, monkeypatch):
    out = ("--format", "onnx", "--out", tmp_path / "m.onnx")
    (tmp_path / "broken.mp4").write_bytes(b"x")
    code, _, err = exported(*out, "--clips", tmp_path / "broken.mp4")
    assert (code, "none of the 1 clips decodes" in err) == (2, True)
    assert exported(*out, "--clips", "nowhere")[0] == 2
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    code, _, err = exported(*out)
    assert (code, "pip install 'cdb_video[export]'" in err) == (2, True)
    assert not (tmp_path / "m.onnx").exists()


def test_a_network_that_cannot_be_traced_is_one_line(trained, tmp_path):
    predictor = Predictor(Checkpoint.read(trained / "checkpoints" / "best.pt"), "cpu")
    forward = type(predictor.model).forward

    class Branching(type(predictor.model)):
        def forward(self, video):
            return (
                forward(self, video) if video.float().mean() > 3 else video.float().sum((2, 3, 4))
            )

    predictor.model.__class__ = Branching
    for kind in ("onnx", "torch_export"):
        with pytest.raises(ConfigError, match=f"resnext3d cannot be written as {kind}"):
            export(predictor, kind, tmp_path / "m", own_records(predictor, 2))
    assert not (tmp_path / "m").exists()
