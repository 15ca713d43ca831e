"""From batches to class probabilities, and the averages over views."""

import pytest
import torch
from torch import nn

from cdb_video.data.batch import Batch
from cdb_video.engine.evaluate import evaluate


class Given(nn.Module):
    """Logits that are in the pixels: the first of each channel."""

    def __init__(self):
        super().__init__()
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
    result = evaluate(Given(), Loader(logits), labels, 3, average=average)
    one, other = torch.tensor(logits, dtype=torch.float64)
    wanted = (one.softmax(0) + other.softmax(0)) / 2
    if average == "logits":
        wanted = ((one + other) / 2).softmax(0)
    torch.testing.assert_close(result.scores[0], wanted, rtol=0, atol=1e-15)
    assert result.valid.tolist() == [True, False]
    assert result.scores[1].tolist() == [0, 0, 0]
