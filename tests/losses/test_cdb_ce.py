"""CDB cross entropy against the released code's numbers, the formula by hand, and its limits."""

import json
import math
from pathlib import Path

import pytest
import torch

from cdb_video.losses.cdb_ce import CDBCrossEntropy

GOLDEN = json.loads((Path(__file__).parent / "golden_cdb.json").read_text())["cases"]
RECALL = [0.95, 0.4, 0.0, 0.7]
LOGITS = [[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.5], [-1.0, 0.0, 0.0, 3.0]]
TARGET = [0, 2, 1]


def make(num_classes=4, **options):
    return CDBCrossEntropy(CDBCrossEntropy.Options(**options), num_classes=num_classes)


def seen(loss, recall, count=100):
    recall = torch.tensor(recall, dtype=torch.float64)
    loss.observe(recall, torch.full((len(recall),), count))
    return loss


def value(loss):
    return loss(torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(TARGET)).item()


def by_hand(weights, reduction="mean", gamma=0.0):
    """The loss of LOGITS and TARGET with loops and plain floats."""
    total, weight_sum = 0.0, 0.0
    for row, label in zip(LOGITS, TARGET, strict=True):
        p = math.exp(row[label]) / sum(math.exp(z) for z in row)
        total += weights[label] * (1 - p) ** gamma * -math.log(p)
        weight_sum += weights[label]
    return total / (len(LOGITS) if reduction == "mean" else weight_sum)


def weights_by_hand(recall, tau):
    difficulty = [(1 - r) ** tau for r in recall]
    return [d * len(recall) / sum(difficulty) for d in difficulty]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{len(case['recall'])} classes")
@pytest.mark.parametrize("form", ["released", "imagenetlt"])
@pytest.mark.parametrize("tau", [0.5, 1, 1.5, 2, 5, "dynamic"])
def test_equals_the_released_code(case, form, tau):
    expected = case["expected"][f"cdb_{form}_tau_{tau}"]
    released = form == "released"
    loss = make(
        len(case["recall"]),
        tau="dynamic_released" if tau == "dynamic" and released else tau,
        reduction="mean" if released else "weighted_mean",
    )
    seen(loss, case["recall"])
    weights = torch.tensor(expected["weights"])
    torch.testing.assert_close(loss.class_weights, weights, rtol=2e-5, atol=1e-6)
    got = loss(
        torch.tensor(case["logits"], dtype=torch.float64), torch.tensor(case["target"])
    ).item()
    key = "loss_mean_over_samples" if released else "loss_weighted_mean"
    assert got == pytest.approx(expected[key], rel=1e-5)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.5])
def test_equals_the_formula_by_hand(tau, reduction, gamma):
    loss = seen(make(tau=tau, reduction=reduction, gamma=gamma), RECALL)
    weights = weights_by_hand(RECALL, tau)
    assert value(loss) == pytest.approx(by_hand(weights, reduction, gamma), rel=1e-6)


def test_dynamic_tau_is_the_papers():
    bias = 0.95 / (0.0 + 0.01) - 1
    loss = seen(make(tau="dynamic"), RECALL)
    assert loss.tau.item() == pytest.approx(2 / (1 + math.exp(-bias)), rel=1e-6)
    even = seen(make(tau="dynamic"), [0.5, 0.5, 0.5, 0.5])
    assert even.tau.item() == pytest.approx(2 / (1 + math.exp(-(0.5 / 0.51 - 1))), rel=1e-6)
    released = seen(make(tau="dynamic_released"), [0.5, 0.6, 0.7, 0.9])
    assert released.tau.item() == pytest.approx(1 / (1 + math.exp(-0.9 / 0.51)), rel=1e-6)


@pytest.mark.parametrize("options", [{"tau": 0.0}, {"min_weight": 1.0}, {"warmup_epochs": 9}])
def test_equals_cross_entropy_in_value_and_gradient(options):
    loss = seen(make(**options), RECALL)
    gradients = []
    for function in (loss, torch.nn.functional.cross_entropy):
        logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
        function(logits, torch.tensor(TARGET)).backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(*gradients)
    assert value(loss) == pytest.approx(by_hand([1, 1, 1, 1]), rel=1e-9)


def test_every_weight_is_1_before_the_first_validation_and_where_all_is_perfect():
    assert make().class_weights.tolist() == [1, 1, 1, 1]
    assert seen(make(), [1.0, 1.0, 1.0, 1.0]).class_weights.tolist() == [1, 1, 1, 1]


def test_a_perfect_class_gets_weight_0_unless_there_is_a_minimum():
    recall = [1.0, 0.5, 0.5, 0.5]
    assert seen(make(tau=1.0), recall).class_weights[0] == 0
    floored = seen(make(tau=1.0, min_weight=0.1), recall).class_weights
    assert floored[0].item() == pytest.approx(0.1)
    assert floored.mean().item() == pytest.approx(1)


def test_a_class_without_samples_keeps_its_last_difficulty():
    loss = make(tau=1.0)
    recall = torch.tensor([0.5, torch.nan, 0.9, 0.8])
    loss.observe(recall, torch.tensor([4, 0, 4, 4]))
    torch.testing.assert_close(loss.classes.difficulty, torch.tensor([0.5, 1.0, 0.1, 0.2]))
    loss.observe(torch.tensor([torch.nan, 0.25, 0.9, 0.8]), torch.tensor([0, 4, 4, 4]))
    torch.testing.assert_close(loss.classes.difficulty, torch.tensor([0.5, 0.75, 0.1, 0.2]))


def test_a_class_never_seen_does_not_drive_dynamic_tau():
    loss = make(tau="dynamic")
    loss.observe(torch.tensor([0.5, 0.0, 0.5, 0.5]), torch.tensor([4, 0, 4, 4]))
    assert loss.tau.item() == pytest.approx(2 / (1 + math.exp(-(0.5 / 0.51 - 1))), rel=1e-6)


def test_momentum_keeps_a_share_of_the_previous_difficulty():
    loss = make(tau=1.0, momentum=0.75)
    seen(loss, RECALL)
    expected = [0.75 * 1 + 0.25 * (1 - r) for r in RECALL]
    assert loss.classes.difficulty.tolist() == pytest.approx(expected, rel=1e-6)
    seen(loss, RECALL)
    expected = [0.75 * d + 0.25 * (1 - r) for d, r in zip(expected, RECALL, strict=True)]
    assert loss.classes.difficulty.tolist() == pytest.approx(expected, rel=1e-6)


def test_prior_counts_pull_small_classes_to_the_mean_recall():
    loss = make(tau=1.0, prior_count=6.0)
    loss.observe(torch.tensor([1.0, 0.5, 0.0, 0.5]), torch.tensor([2, 1000, 2, 4]))
    mean = 0.5
    expected = [(2 + 6 * mean) / 8, 0.5, (0 + 6 * mean) / 8, 0.5]
    assert (1 - loss.classes.difficulty).tolist() == pytest.approx(expected, rel=1e-6)


def test_tau_max_caps_a_dynamic_tau():
    assert seen(make(tau="dynamic", tau_max=1.0), RECALL).tau.item() == 1.0
    assert seen(make(tau="dynamic", tau_max=1.9), [0.5, 0.6, 0.7, 0.9]).tau.item() < 1.9


def test_warmup_leaves_the_first_epochs_unweighted_but_tracks_difficulty():
    loss = make(tau=1.0, warmup_epochs=3)
    for _ in range(2):
        seen(loss, RECALL)
        assert loss.class_weights.tolist() == [1, 1, 1, 1]
    assert loss.classes.difficulty.tolist() == pytest.approx([1 - r for r in RECALL], rel=1e-6)
    seen(loss, RECALL)
    expected = weights_by_hand(RECALL, 1.0)
    assert loss.class_weights.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_batch_of_weightless_classes_has_loss_0_not_nan():
    for reduction in ("mean", "weighted_mean"):
        loss = seen(make(tau=1.0, reduction=reduction), [1.0, 0.5, 0.5, 0.5])
        assert loss(torch.randn(3, 4), torch.tensor([0, 0, 0])).item() == 0


def test_source_says_whose_recall_counts():
    assert [make(source=source).source for source in ("val", "train")] == ["val", "train"]
    assert [make(source=source).needs_validation for source in ("val", "train")] == [True, False]


def test_it_shows_what_it_goes_by():
    loss = make(tau=1.0)
    loss.defer_epochs = 2
    loss.observe(torch.tensor(RECALL), torch.full((4,), 10))
    difficulty = [1 - r for r in RECALL]
    for epoch in (2, 3):
        state = loss.class_state(epoch)
        assert state.difficulty.tolist() == pytest.approx(difficulty, rel=1e-6)
        weights = [4 * d / sum(difficulty) for d in difficulty] if epoch == 3 else [1] * 4
        assert state.weight.tolist() == pytest.approx(weights, rel=1e-6)
        assert state.tau == 1
