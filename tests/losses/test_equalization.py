"""The equalization loss by hand, and its random gate."""

import math

import pytest
import torch
from torch.nn import functional as F

from cdb_video.losses.equalization import Equalization

COUNTS = [200, 50, 7, 1]
LOGITS = [[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5], [-1.0, 0.0, 0.0, 3.0]]
TARGET = [0, 2, 1]


def make(counts=COUNTS, **options):
    return Equalization(
        Equalization.Options(**options), num_classes=4, class_counts=torch.tensor(counts)
    )


def value(loss):
    return loss(torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(TARGET)).item()


def by_hand(threshold, gate):
    total = 0.0
    for row, label in zip(LOGITS, TARGET, strict=True):
        for c, z in enumerate(row):
            p = 1 / (1 + math.exp(-z))
            is_rare = COUNTS[c] / sum(COUNTS) < threshold
            weight = 1 - gate * is_rare * (c != label)
            total += weight * -math.log(p if c == label else 1 - p)
    return total / len(LOGITS)


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("gate", [0.0, 1.0])
def test_by_hand(threshold, gate):
    loss = make(threshold=threshold, gate_probability=gate)
    assert value(loss) == pytest.approx(by_hand(threshold, gate), rel=1e-9)
    assert value(loss.eval()) == pytest.approx(by_hand(threshold, gate), rel=1e-9)


def test_without_rare_classes_it_is_binary_cross_entropy():
    expected = F.binary_cross_entropy_with_logits(
        torch.tensor(LOGITS), F.one_hot(torch.tensor(TARGET), 4).float(), reduction="sum"
    )
    assert value(make(threshold=0.0)) == pytest.approx(expected.item() / 3, rel=1e-6)


def test_a_rare_class_gets_no_gradient_from_samples_of_others():
    logits = torch.zeros(2, 4, requires_grad=True)
    make(gate_probability=1.0)(logits, torch.tensor([0, 3])).backward()
    assert logits.grad[0, 2:].tolist() == [0, 0]
    assert logits.grad[0, :2].abs().min() > 0
    assert logits.grad[1, 2] == 0
    assert logits.grad[1, 3] < 0


def test_the_gate_is_open_as_often_as_it_should():
    loss = make(gate_probability=0.7)
    torch.manual_seed(0)
    values = torch.tensor([value(loss) for _ in range(2000)], dtype=torch.float64)
    is_open, is_closed = by_hand(0.03, 1.0), by_hand(0.03, 0.0)
    near = torch.tensor([[is_open], [is_closed]], dtype=torch.float64) - values
    assert near.abs().min(dim=0).values.max() < 1e-9
    # 5 standard deviations of a binomial share
    share = (near[0].abs() < 1e-9).double().mean().item()
    assert abs(share - 0.7) < 5 * math.sqrt(0.7 * 0.3 / 2000)
    assert value(loss.eval()) == pytest.approx(0.7 * is_open + 0.3 * is_closed, rel=1e-9)


def test_the_gate_follows_the_seed_in_training_only():
    loss = make(gate_probability=0.5)
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append([value(loss) for _ in range(64)])
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    before = torch.get_rng_state()
    value(loss.eval())
    assert torch.equal(before, torch.get_rng_state())


def test_an_absent_class_is_rare():
    assert make([100, 100, 0, 100]).rare.tolist() == [0, 0, 1, 0]
    assert make([0, 0, 0, 0]).rare.tolist() == [1, 1, 1, 1]
