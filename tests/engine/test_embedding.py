"""Features as a file and as a map: the numbers that the classifier gets."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

import cdb_video
from cdb_video.commands import run
from cdb_video.engine.use.embedding import in_two_dimensions


@pytest.fixture
def extract(trained, capsys):
    """(*words) -> (exit code, stdout, stderr)."""

    def extract(*words):
        first = ("--checkpoint", trained / "checkpoints" / "best.pt", "--workers", 0)
        code = run("extract-features", [str(word) for word in (*first, *words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return extract


def test_a_split_as_arrays(extract, trained, tmp_path):
    out = tmp_path / "features.npz"
    code, said, _ = extract("--out", out, "--map", tmp_path / "map.png")
    assert (code, said.split()) == (0, [str(out), str(tmp_path / "map.png")])
    with np.load(out) as file:
        found = dict(file)
    assert found["labels"].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert found["class_names"].tolist() == ["blue", "green", "red"]
    predictor = cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")
    for path, row, predicted in zip(
        found["paths"], found["features"], found["predictions"], strict=True
    ):
        one = predictor(str(path), views=(1, 1))
        scores = predictor.model.fc(torch.from_numpy(row)).softmax(0)
        np.testing.assert_allclose(scores.detach(), one.scores, atol=1e-6)
        assert predicted == one.class_id
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_files_and_a_bad_one_as_safetensors(extract, colour_clips, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"x")
    out = tmp_path / "features.safetensors"
    good = sorted(colour_clips.glob("test*.mp4"))
    code, _, err = extract(
        "--out",
        out,
        tmp_path / "broken.mp4",
        *good,
        "--method",
        "tsne",
        "--map",
        tmp_path / "map.png",
    )
    assert code == 1
    assert "broken.mp4" in err
    found = safetensors.numpy.load_file(out)
    assert found["features"].shape[0] == len(good) == 7
    assert found["labels"].tolist() == [-1] * 7
    assert np.isnan(found["spans"]).all()
    with safetensors.safe_open(out, "np") as file:
        assert json.loads(file.metadata()["paths"]) == [str(path) for path in good]


def test_minority_classes_are_known(trained):
    predictor = cdb_video.load(trained / "checkpoints" / "best.pt", device="cpu")
    assert predictor.minority == [False, True, True]  # of 6, 3 and 2 clips


def test_two_dimensions_keep_what_is_apart():
    rng = np.random.default_rng(0)
    far = np.concatenate([rng.normal(0, 1, (20, 9)), rng.normal(30, 1, (20, 9))])
    for method in ("pca", "tsne"):
        points = in_two_dimensions(far.astype(np.float32), method)
        assert points.shape == (40, 2)
        gap = np.linalg.norm(points[:20].mean(0) - points[20:].mean(0))
        assert gap > 3 * points[:20].std()


@pytest.mark.filterwarnings("error")
def test_a_single_clip_lies_in_the_middle():
    assert in_two_dimensions(np.ones((1, 9), np.float32), "pca").tolist() == [[0, 0]]


def test_mistakes_are_one_line(extract, tmp_path):
    assert extract("--out", tmp_path / "a.npz", "none.mp4")[0] == 2
    with pytest.raises(SystemExit):
        extract("--out", tmp_path / "a.csv")
    with pytest.raises(SystemExit):
        extract("--out", tmp_path / "a.npz", "--split", "trian")
    assert list(tmp_path.iterdir()) == []
