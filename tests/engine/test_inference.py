"""From batches to class probabilities, and the averages over views."""

import time

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import cdb_video
from cdb_video.data.batches.batch import Batch
from cdb_video.engine.evaluate.scores import Evaluating, evaluate
from cdb_video.errors import CheckpointError
from cdb_video.metrics.groups import Grouping
from cdb_video.models import read_checkpoint
from cdb_video.outputs import Outputs


class Given(nn.Module):
    """Logits that are in the pixels: the first of each channel."""

    def __init__(self, num_classes):
        super().__init__()
        self.outputs = Outputs.unnamed(num_classes)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, video):
        return video[:, :, 0, 0, 0].float() * self.scale


class Loader:
    """Two records: two views of one, and one that cannot be decoded."""

    def __init__(self, logits):
        video = torch.tensor(logits, dtype=torch.uint8)[:, :, None, None, None]
        self.batch = Batch(video, torch.zeros(2).long(), torch.zeros(2).long())

    def __len__(self):
        return 1

    def batches(self, epoch=0, first=0):
        yield self.batch


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_views_are_averaged_as_told(average):
    logits = [[0, 1, 2], [9, 0, 0]]
    labels = torch.tensor([0, 1]).numpy()
    result = evaluate(Given(3), Loader(logits), labels, Evaluating(average=average))
    one, other = torch.tensor(logits, dtype=torch.float64)
    wanted = (one.softmax(0) + other.softmax(0)) / 2
    if average == "logits":
        wanted = ((one + other) / 2).softmax(0)
    torch.testing.assert_close(result.scores[0], wanted, rtol=0, atol=1e-15)
    assert result.valid.tolist() == [True, False]
    assert result.scores[1].tolist() == [0, 0, 0]


class Many:
    """Seven records of four classes with two views each, but one that cannot be decoded, in
    batches that part the views of a record."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.logits = torch.from_numpy(rng.integers(0, 7, (12, 4)))
        self.index = torch.arange(6).repeat_interleave(2)

    def batches(self, epoch=0, first=0):
        for part in (slice(0, 5), slice(5, 8), slice(8, 12)):
            video = self.logits[part].to(torch.uint8)[:, :, None, None, None]
            yield Batch(video, torch.zeros(len(video)).long(), self.index[part])


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("leave_out", [True, False])
def test_the_best_scores_give_the_numbers_of_all(average, leave_out):
    labels = np.array([0, 1, 2, 3, 0, 1, 2])
    names = [*"abcdefg"][:4]
    how = {"average": average, "leave_out": leave_out, "num_views": 2}
    full, best = (evaluate(Given(4), Many(), labels, Evaluating(**how, top_k=k)) for k in (0, 3))
    assert best.scores.shape == best.classes.shape == (7, 3)
    assert best.prediction.tolist() == full.prediction.tolist()
    assert best.valid.tolist() == full.valid.tolist() == [True] * 6 + [False]
    assert best.loss == pytest.approx(full.loss, rel=1e-6)
    highest = full.scores[:6].sort(descending=True)[0][:, :3].float()
    torch.testing.assert_close(best.scores[:6], highest, atol=1e-6, rtol=0)
    expected, got = (one.metrics(names, Grouping(["g"] * 4, ("g",), "")) for one in (full, best))
    assert got["mean_average_precision"] is None
    for key in expected.keys() - {"mean_average_precision", "top5"}:
        assert got[key] == expected[key], key


def test_top5_comes_from_five_kept_scores():
    class Six(Many):
        def __init__(self):
            super().__init__()
            self.logits = torch.cat([self.logits, self.logits[:, :3].flip(1)], 1)

    labels = np.array([5, 1, 2, 3, 4, 6, 2])
    how = {"num_views": 2, "leave_out": False}
    full, best = (evaluate(Given(7), Six(), labels, Evaluating(**how, top_k=k)) for k in (0, 5))
    expected, got = (
        one.metrics([*"abcdefg"], Grouping(["g"] * 7, ("g",), "")) for one in (full, best)
    )
    assert got["top5"] == pytest.approx(expected["top5"])
    assert 0 < got["top5"] < 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("DATA.CROP_SIZE", 10**6, "a clip|at most"),
        ("DATA.CROP_SIZE", "big", "at most"),
        ("DATA.NUM_FRAMES", 10**8, "at most"),
        ("DATA.SAMPLING", "magic", "SAMPLING must be"),
        ("TEST.NUM_ENSEMBLE_VIEWS", 10**6, "1000 views"),
        ("TEST.NUM_SPATIAL_CROPS", 7, "NUM_SPATIAL_CROPS must be"),
        ("TEST.ENSEMBLE_METHOD", "magic", "ENSEMBLE_METHOD must be"),
        ("MODEL.RESNEXT3D.WIDTH", 4096, "its options describe a network of"),
        ("MODEL.RESNEXT3D.STAGE_BLOCKS", [900, 900, 900, 900], "its options describe a network of"),
    ],
)
def test_what_a_stranger_s_checkpoint_asks_for_is_bounded(trained, tmp_path, key, value, message):
    content = read_checkpoint(trained / "checkpoints" / "best.pt")
    tree = yaml.safe_load(content["config"])
    node = tree
    *sections, last = key.split(".")
    for name in sections:
        node = node[name]
    node[last] = value
    content["config"] = yaml.safe_dump(tree)
    if "architecture" in content and key.startswith("MODEL."):
        architecture = yaml.safe_load(content["architecture"])
        architecture["RESNEXT3D"][last] = value
        content["architecture"] = yaml.safe_dump(architecture)
    torch.save(content, tmp_path / "strange.pt")
    begun = time.monotonic()
    with pytest.raises(CheckpointError, match=message) as error:
        cdb_video.load(tmp_path / "strange.pt", "cpu")
    assert "\n" not in str(error.value)
    assert time.monotonic() - begun < 20
