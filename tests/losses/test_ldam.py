"""The LDAM loss by hand, its margins and its weights."""

import math

import pytest
import torch
from torch.nn import functional as F

from cdb_video.losses.ldam import LDAM

COUNTS = [10_000, 256, 81, 16]
LOGITS = [[0.9, -0.1, 0.3, 0.0], [0.1, 0.2, -0.3, 0.8], [-0.5, 0.0, 0.0, 0.7]]
TARGET = [0, 2, 3]


def make(counts=COUNTS, **options):
    counts = torch.tensor(counts)
    return LDAM(LDAM.Options(**options), num_classes=len(counts), class_counts=counts)


def value(loss):
    return loss(torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(TARGET)).item()


def by_hand(max_margin, scale, weights):
    total = 0.0
    for row, label in zip(LOGITS, TARGET, strict=True):
        margin = max_margin * (min(COUNTS) / COUNTS[label]) ** 0.25
        own = math.exp(scale * (row[label] - margin))
        others = sum(math.exp(scale * z) for c, z in enumerate(row) if c != label)
        total -= weights[label] * math.log(own / (own + others))
    return total / sum(weights[label] for label in TARGET)


def test_margins_fall_with_the_fourth_root_of_class_size():
    # fourth roots 10, 4, 3, 2
    assert make(max_margin=0.6).margins.tolist() == pytest.approx([0.12, 0.3, 0.4, 0.6])
    assert make([0, 16, 81], max_margin=0.6).margins.tolist() == pytest.approx([0.6, 0.6, 0.4])
    assert make([0, 0], max_margin=0.6).margins.tolist() == pytest.approx([0.6, 0.6])


@pytest.mark.parametrize("max_margin", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_by_hand(max_margin, scale):
    loss = make(max_margin=max_margin, scale=scale)
    assert value(loss) == pytest.approx(by_hand(max_margin, scale, [1, 1, 1, 1]), rel=1e-6)


def test_weights_are_effective_numbers_and_the_mean_is_weighted():
    loss = make(beta=0.99, scale=10.0)
    weights = [1 / sum(0.99**i for i in range(n)) for n in COUNTS]
    mean = sum(weights) / 4
    assert loss.class_weights.tolist() == pytest.approx([w / mean for w in weights], rel=1e-5)
    assert value(loss) == pytest.approx(by_hand(0.5, 10.0, weights), rel=1e-5)


def test_deferred_reweighting_starts_after_its_epochs():
    loss = LDAM(
        LDAM.Options(beta=0.9999, scale=10.0),
        num_classes=4,
        class_counts=torch.tensor(COUNTS),
        defer_epochs=160,
    )
    values = {}
    for epoch in (1, 160, 161, 200):
        loss.start_epoch(epoch)
        values[epoch] = value(loss)
    assert values[1] == values[160] == pytest.approx(by_hand(0.5, 10.0, [1] * 4), rel=1e-6)
    weights = [1 / (1 - 0.9999**n) for n in COUNTS]
    assert values[161] == values[200] == pytest.approx(by_hand(0.5, 10.0, weights), rel=1e-5)


def test_no_margin_is_cross_entropy_of_the_scaled_logits():
    gradients = []
    loss = make(max_margin=0.0, scale=30.0)
    for function in (loss, lambda z, t: F.cross_entropy(30 * z, t)):
        logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
        result = function(logits, torch.tensor(TARGET))
        result.backward()
        gradients.append((result.detach(), logits.grad))
    torch.testing.assert_close(*gradients)
