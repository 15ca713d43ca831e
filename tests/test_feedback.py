"""The one way in which losses and samplers learn from recall, and show what they go by."""

import numpy as np
import pytest
import torch

from cdb_video.losses.base import Loss
from cdb_video.losses.cdb_logit import CDBLogit
from cdb_video.registry import LOSSES, SAMPLERS

K = 4
COUNTS = torch.tensor([8, 4, 2, 0])
RECALL = torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64)


def make_loss(kind):
    return kind(kind.Options(), num_classes=K, class_counts=torch.tensor([9, 4, 2, 1]))


def make_sampler(kind):
    labels = np.repeat(np.arange(K), (9, 4, 2, 1))
    return kind(kind.Options(), labels=labels, num_classes=K, seed=0, num_epochs=3)


PARTS = [
    pytest.param(lambda r=r, n=n, m=make: m(r.get(n)), id=f"{r.kind} {n}")
    for r, make in ((LOSSES, make_loss), (SAMPLERS, make_sampler))
    for n in r.names()
]


@pytest.mark.parametrize("make", PARTS)
def test_the_protocol(make):
    part = make()
    assert part.source in ("val", "train")
    assert isinstance(part.needs_validation, bool)
    before = part.class_state(1)
    part.observe(RECALL, COUNTS)
    after = part.class_state(2)
    assert (before is None) == (after is None)
    if after is None:
        assert not part.needs_validation
        return
    if isinstance(part, CDBLogit):  # starts from class sizes, and has no exponent
        sizes = torch.tensor([9, 4, 2, 1]).double()
        start = K / sizes / (1 / sizes).sum()
        assert before.weight.tolist() == pytest.approx(start.tolist(), rel=1e-6)
        assert after.tau == 0
    else:
        assert torch.equal(before.weight.double(), torch.ones(K).double())
        assert after.tau > 0
    assert after.difficulty.shape == after.weight.shape == (K,)
    # The last class had no clip: it keeps the difficulty that it began with.
    assert after.difficulty.tolist() == pytest.approx([0, 0.5, 1, 1])
    assert float(after.weight.sum()) == pytest.approx(K)
    assert after.weight[0] < after.weight[1] < after.weight[2]
    grown = after.weight.double() / before.weight.double()
    assert grown[0] < grown[1] < grown[2]


class Weighted(Loss):
    """What an author writes: the formula, and nothing of deferral."""

    def __init__(self, **context):
        super().__init__(None, num_classes=3, **context)
        self.class_weights.copy_(torch.tensor([0.0, 1.0, 2.0]))

    def compute(self, logits, target, weights):
        return weights[target].mean()


def test_an_author_cannot_forget_the_deferral():
    loss = Weighted(defer_epochs=2)
    logits, target = torch.zeros(2, 3), torch.tensor([2, 2])
    for epoch, expected in ((1, 1.0), (2, 1.0), (3, 2.0)):
        loss.start_epoch(epoch)
        assert loss(logits, target) == expected
