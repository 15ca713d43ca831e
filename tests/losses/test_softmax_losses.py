"""Cross entropy, focal, class-balanced, balanced softmax, logit adjustment: formulas by hand."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from cdb_video.registry import LOSSES

GOLDEN = json.loads((Path(__file__).parent / "golden_losses.json").read_text())["cases"]
COUNTS = [200, 50, 7, 1]
LOGITS = [[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5], [-1.0, 0.0, 0.0, 3.0], [4.0, 0.0, 1.0, 1.0]]
TARGET = [0, 2, 1, 3]
SOFT = [[0.7, 0.1, 0.1, 0.1], [0.0, 0.5, 0.5, 0.0], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]


def make(name, counts=COUNTS, **options):
    kind = LOSSES.get(name)
    counts = None if counts is None else torch.tensor(counts)
    num_classes = 4 if counts is None else len(counts)
    return kind(kind.Options(**options), num_classes=num_classes, class_counts=counts)


def value(loss, target=TARGET):
    target = torch.tensor(target, dtype=torch.float64 if target is SOFT else None)
    return loss(torch.tensor(LOGITS, dtype=torch.float64), target).item()


def probabilities(row):
    total = sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


def by_hand(weights, gamma=0.0, targets=None):
    """Mean over samples of the weighted focal loss, with loops and plain floats."""
    targets = targets or [[float(c == label) for c in range(4)] for label in TARGET]
    total = 0.0
    for row, target in zip(LOGITS, targets, strict=True):
        for t, w, p in zip(target, weights, probabilities(row), strict=True):
            total += t * w * (1 - p) ** gamma * -math.log(p)
    return total / len(LOGITS)


def scaled(weights):
    return [w * len(weights) / sum(weights) for w in weights]


def assert_same_as_cross_entropy(loss, scale=1.0):
    gradients, values = [], []
    for function in (loss, lambda z, t: F.cross_entropy(scale * z, t)):
        logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
        values.append(function(logits, torch.tensor(TARGET)))
        values[-1].backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_entropy", {}),
        ("focal", {"gamma": 0.0}),
        ("class_balanced", {"beta": 0.0}),
        ("logit_adjusted", {"tau": 0.0}),
        ("cdb_ce", {"tau": 0.0}),
    ],
)
def test_special_cases_are_cross_entropy(name, options):
    loss = make(name, **options)
    loss.observe(torch.tensor([0.9, 0.5, 0.1, 0.0]), torch.tensor([9, 9, 9, 9]))
    assert_same_as_cross_entropy(loss)
    assert value(loss) == pytest.approx(by_hand([1, 1, 1, 1]), rel=1e-9)


@pytest.mark.parametrize(("name", "power"), [("inverse", 1.0), ("sqrt_inverse", 0.5)])
@pytest.mark.parametrize("targets", [None, SOFT])
def test_fixed_weights_follow_class_size(name, power, targets):
    weights = scaled([n**-power for n in COUNTS])
    loss = make("cross_entropy", class_weights=name)
    assert loss.class_weights.tolist() == pytest.approx(weights, rel=1e-6)
    got = value(loss, targets or TARGET)
    assert got == pytest.approx(by_hand(weights, targets=targets), rel=1e-6)


def test_label_smoothing_spreads_the_target_before_it_is_weighted():
    loss = make("cross_entropy", class_weights="sqrt_inverse", label_smoothing=0.2)
    smooth = [[0.05 + 0.8 * (c == label) for c in range(4)] for label in TARGET]
    weights = scaled([n**-0.5 for n in COUNTS])
    assert value(loss) == pytest.approx(by_hand(weights, targets=smooth), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("targets", [None, SOFT])
def test_focal_by_hand(gamma, targets):
    got = value(make("focal", gamma=gamma), targets or TARGET)
    assert got == pytest.approx(by_hand([1, 1, 1, 1], gamma, targets), rel=1e-9)


@pytest.mark.parametrize("name", ["focal", "cdb_ce", "class_balanced"])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
def test_a_focal_term_stays_finite_where_a_sample_is_certain(name, gamma):
    for margin in (20.0, 200.0, 2e4):
        logits = torch.tensor([[margin, 0.0, 0.0, 0.0]], requires_grad=True)
        for target in (torch.tensor([0]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])):
            loss = make(name, gamma=gamma)(logits, target)
            (gradient,) = torch.autograd.grad(loss, logits)
            assert 0 <= loss < 1e-3
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.999, 0.999999])
@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_class_balanced_by_hand(beta, gamma):
    loss = make("class_balanced", beta=beta, gamma=gamma)
    # (1 - beta^n) / (1 - beta) as the sum that it stands for
    numbers = [sum(beta**i for i in range(n)) for n in COUNTS]
    weights = scaled([1 / number for number in numbers])
    assert loss.class_weights.tolist() == pytest.approx(weights, rel=1e-5)
    assert value(loss) == pytest.approx(by_hand(weights, gamma), rel=1e-5)


def test_class_balanced_close_to_1_is_inverse_to_class_size():
    one = make("class_balanced", beta=1 - 1e-9).class_weights
    torch.testing.assert_close(one, make("cross_entropy", class_weights="inverse").class_weights)


def test_a_class_without_training_samples_has_weight_1_and_changes_no_other():
    for name, options in (
        ("class_balanced", {"beta": 0.99}),
        ("cross_entropy", {"class_weights": "inverse"}),
        ("ldam", {"beta": 0.99}),
    ):
        whole = make(name, COUNTS, **options).class_weights
        gap = make(name, [200, 0, 50, 7, 1], **options).class_weights
        assert gap[1] == 1
        torch.testing.assert_close(gap[[0, 2, 3, 4]], whole)


def test_balanced_softmax_by_hand():
    total = 0.0
    for row, label in zip(LOGITS, TARGET, strict=True):
        shares = [n * math.exp(z) for n, z in zip(COUNTS, row, strict=True)]
        total -= math.log(shares[label] / sum(shares))
    assert value(make("balanced_softmax")) == pytest.approx(total / len(LOGITS), rel=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjusted_by_hand(tau):
    # The pairwise form: log(1 + sum_j (pi_j / pi_y)^tau exp(z_j - z_y))
    total = 0.0
    for row, y in zip(LOGITS, TARGET, strict=True):
        rest = [
            (COUNTS[j] / COUNTS[y]) ** tau * math.exp(row[j] - row[y]) for j in range(4) if j != y
        ]
        total += math.log1p(sum(rest))
    assert value(make("logit_adjusted", tau=tau)) == pytest.approx(total / len(LOGITS), rel=1e-6)


def test_logit_adjusted_with_tau_1_is_balanced_softmax():
    for targets in (TARGET, SOFT):
        one, other = make("logit_adjusted", tau=1.0), make("balanced_softmax")
        assert value(one, targets) == pytest.approx(value(other, targets), rel=1e-6)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{len(case['class_counts'])} classes")
def test_equals_the_released_code(case):
    logits, target = torch.tensor(case["logits"]), torch.tensor(case["target"])
    for beta, expected in case["class_balanced"].items():
        loss = make("class_balanced", case["class_counts"], beta=float(beta))
        weights = torch.tensor(expected["weights"])
        torch.testing.assert_close(loss.class_weights, weights, rtol=1e-5, atol=1e-6)
        assert loss(logits, target).item() == pytest.approx(expected["loss"], rel=1e-5)
    for gamma, expected in case["focal"].items():
        loss = make("focal", case["class_counts"], gamma=float(gamma))
        assert loss(logits, target).item() == pytest.approx(expected, rel=1e-5)
    loss = make("equalization", case["class_counts"], threshold=0.03, gate_probability=1.0)
    assert loss(logits, target).item() == pytest.approx(case["equalization"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_entropy", {"class_weights": "inverse"}),
        ("class_balanced", {}),
        ("equalization", {}),
        ("ldam", {}),
        ("balanced_softmax", {}),
        ("logit_adjusted", {}),
    ],
)
def test_unknown_class_sizes_are_refused_where_they_are_needed(name, options):
    with pytest.raises(ValueError, match=f"{name}.* needs class_counts"):
        make(name, counts=None, **options)
