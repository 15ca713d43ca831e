"""Difficulty on the logits: the formula by hand, where it ends, and that it does not swing."""

import math

import pytest
import torch
from scipy.stats import beta
from torch import nn

from cdb_video.losses.cdb_logit import CDBLogit
from cdb_video.registry import LOSSES

RECALL = [0.95, 0.4, 0.0, 0.7]
LOGITS = torch.tensor(
    [[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5], [-1.0, 0.0, 0.0, 3.0]], dtype=torch.float64
)
TARGET = torch.tensor([0, 2, 1])
DEFAULT = CDBLogit.Options()


def make(num_classes=4, counts=None, **options):
    """Without class sizes, tolerance and bound, unless ``options`` ask for them."""
    counts = None if counts is None else torch.tensor(counts)
    options = CDBLogit.Options(**{"prior": 0.0, "tolerance": 0.0, "bound": None, **options})
    return CDBLogit(options, num_classes=num_classes, class_counts=counts)


def seen(loss, recall, counts=100):
    recall = torch.tensor(recall, dtype=torch.float64)
    counts = (
        torch.tensor(counts) if isinstance(counts, list) else torch.full((len(recall),), counts)
    )
    loss.observe(recall, counts)
    return loss


def by_hand(margins):
    """The loss of LOGITS and TARGET with loops and plain floats."""
    total = 0.0
    for row, label in zip(LOGITS.tolist(), TARGET.tolist(), strict=True):
        shifted = [z + a for z, a in zip(row, margins, strict=True)]
        total -= shifted[label] - math.log(sum(math.exp(z) for z in shifted))
    return total / len(LOGITS)


def value(loss):
    return loss(LOGITS, TARGET).item()


def test_equals_the_formula_by_hand_over_three_validations():
    loss = make(eta=1.5)
    margins = [0.0] * 4
    for recall in (RECALL, [0.9, 0.5, 0.1, 0.7], [0.2, 0.2, 0.2, 1.0]):
        seen(loss, recall)
        mean = sum(recall) / 4
        margins = [a + 1.5 * (r - mean) for a, r in zip(margins, recall, strict=True)]
        assert value(loss) == pytest.approx(by_hand(margins), rel=1e-6)


def test_weights_say_what_the_margins_are():
    loss = seen(make(eta=2.0), RECALL)
    odds = [math.exp(-2 * (r - sum(RECALL) / 4)) for r in RECALL]
    expected = [4 * o / sum(odds) for o in odds]
    state = loss.class_state(2)
    assert state.weight.tolist() == pytest.approx(expected, rel=1e-6)
    assert state.difficulty.tolist() == pytest.approx([1 - r for r in RECALL], rel=1e-6)
    assert state.tau == 0


def test_it_is_cross_entropy_before_the_first_validation_and_without_gain():
    plain = torch.nn.functional.cross_entropy(LOGITS, TARGET).item()
    assert value(make()) == pytest.approx(plain, rel=1e-6)
    assert value(seen(make(eta=0.0), RECALL)) == pytest.approx(plain, rel=1e-6)
    assert value(seen(make(eta=2.0), RECALL)) > 1.1 * plain


def test_a_prior_of_1_starts_as_balanced_softmax():
    counts = [100, 40, 0, 3]
    kind = LOSSES.get("balanced_softmax")
    balanced = kind(kind.Options(), num_classes=4, class_counts=torch.tensor(counts))
    loss = make(counts=counts, prior=1.0, eta=2.0)
    assert value(loss) == pytest.approx(value(balanced), rel=1e-6)
    seen(loss, RECALL)
    margins = [
        math.log(max(n, 1)) + 2 * (r - sum(RECALL) / 4) for n, r in zip(counts, RECALL, strict=True)
    ]
    assert value(loss) == pytest.approx(by_hand(margins), rel=1e-6)
    with pytest.raises(ValueError, match="cdb_logit needs class_counts"):
        make(prior=1.0)


def test_a_class_without_validation_samples_keeps_its_margin_and_is_not_in_the_mean():
    loss = seen(make(eta=1.0), [0.8, math.nan, 0.2, 0.5], [9, 0, 9, 9])
    assert loss.moved.tolist() == pytest.approx([0.3, 0, -0.3, 0], abs=1e-6)
    seen(loss, [math.nan, 0.1, 0.5, math.nan], [0, 4, 4, 0])
    assert loss.moved.tolist() == pytest.approx([0.3, -0.2, -0.1, 0], abs=1e-6)
    seen(loss, [math.nan] * 4, [0, 0, 0, 0])
    assert loss.moved.tolist() == pytest.approx([0.3, -0.2, -0.1, 0], abs=1e-6)


def test_differences_within_the_tolerance_move_nothing_and_few_samples_little():
    # Beta(1 + hits, 1 + misses) has standard deviations of 0.0873 (14 of 25) and 0.0850 (16 of 25).
    even = seen(make(num_classes=2, tolerance=1.0), [0.56, 0.64], 25)
    assert even.moved.tolist() == [0, 0]
    sd = [beta(1 + n * 0.25, 1 + n * 0.75).std() for n in (4, 400)]
    for count, error in zip((4, 400), sd, strict=True):
        loss = seen(make(num_classes=2, tolerance=0.5, eta=1.0), [0.25, 0.75], count)
        assert loss.moved.tolist() == pytest.approx(
            [0.5 * error - 0.25, 0.25 - 0.5 * error], rel=1e-5
        )
    assert sd[0] > 3 * sd[1]


def test_a_class_that_nobody_can_learn_stops_at_the_bound_and_leaves_it_at_once():
    loss = make(eta=2.0, bound=1.5)
    for _ in range(20):
        seen(loss, [0.9, 0.9, 0.9, 0.0])
    assert loss.moved[3].item() == -1.5
    seen(loss, [0.5, 0.5, 0.5, 0.9])
    assert loss.moved[3].item() == pytest.approx(-1.5 + 2 * 0.3, rel=1e-5)


def test_a_thousand_validations_without_a_bound_leave_the_loss_finite():
    loss = make(eta=2.0)
    for _ in range(1000):
        seen(loss, [1.0, 1.0, 0.0, 0.0])
    logits = LOGITS.float().requires_grad_()
    found = loss(logits, TARGET)
    found.backward()
    assert found.isfinite()
    assert logits.grad.isfinite().all()


def test_the_warmup_moves_nothing_and_leaves_no_debt():
    loss = make(eta=2.0, warmup_epochs=3)
    for _ in range(2):
        seen(loss, RECALL)
        assert loss.class_weights.tolist() == [1, 1, 1, 1]
    seen(loss, RECALL)
    expected = [2 * (r - sum(RECALL) / 4) for r in RECALL]
    assert loss.moved.tolist() == pytest.approx(expected, rel=1e-5)


def test_deferral_trains_with_plain_logits_first():
    loss = seen(make(), RECALL)
    loss.defer_epochs = 2
    loss.start_epoch(2)
    assert value(loss) == pytest.approx(value(make()), rel=1e-6)
    loss.start_epoch(3)
    assert value(loss) != pytest.approx(value(make()), rel=1e-2)


class Blobs:
    """Classes at the corners of a triangle, with spread, and a validation set."""

    def __init__(self, sizes, spread, num_val=2000):
        generator = torch.Generator().manual_seed(0)
        corners = torch.tensor([[0.0, 1.0], [0.87, -0.5], [-0.87, -0.5]])[: len(sizes)]

        def draw(counts):
            label = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(counts))
            noise = torch.randn(len(label), 2, generator=generator)
            return corners[label] + noise * torch.tensor(spread)[label, None], label

        self.train, self.val = draw(sizes), draw([num_val] * len(sizes))
        self.sizes = sizes

    def fit(self, loss, epochs=60):
        """Trains a linear classifier; recall (epochs, K)."""
        torch.manual_seed(0)
        head = nn.Linear(2, len(self.sizes))
        optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
        (x, y), (x_val, y_val) = self.train, self.val
        recalls = []
        for _ in range(epochs):
            for _ in range(10):
                optimizer.zero_grad()
                loss(head(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                hits = (head(x_val).argmax(1) == y_val).double()
            recall = torch.stack([hits[y_val == c].mean() for c in range(len(self.sizes))])
            recalls.append(recall)
            loss.observe(recall, torch.bincount(y_val))
        return torch.stack(recalls)


def swing(recalls):
    """How far the recall of a class still goes up and down in the last 30 epochs."""
    late = recalls[-30:]
    return (late.max(dim=0).values - late.min(dim=0).values).max().item()


def test_where_classes_differ_in_size_alone_it_finds_the_margins_of_balanced_softmax():
    blobs = Blobs([4500, 500], [0.8, 0.8])
    loss = make(num_classes=2)
    recalls = blobs.fit(loss, epochs=120)
    found = loss.moved[0] - loss.moved[1]
    assert found.item() == pytest.approx(math.log(9), rel=0.1)
    assert recalls[0, 1] < 0.7
    assert abs(recalls[-1, 0] - recalls[-1, 1]) < 0.02


@pytest.mark.parametrize("gain", [2, 4])
def test_it_does_not_swing_up_to_four_times_its_gain(gain):
    blobs = Blobs([3000, 300, 30], [0.6, 0.6, 0.6])
    recalls = blobs.fit(make(num_classes=3, eta=gain * DEFAULT.eta), epochs=120)
    assert swing(recalls) < 0.02
    assert recalls[-30:].mean(dim=0).min() > 0.8
    assert recalls[0].min() < 0.1


def test_a_gain_far_beyond_does_swing_and_this_would_show():
    blobs = Blobs([3000, 300, 30], [0.6, 0.6, 0.6])
    assert swing(blobs.fit(make(num_classes=3, eta=32 * DEFAULT.eta), epochs=120)) > 0.1
