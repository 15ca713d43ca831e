"""The numbers against loops written out by hand, scikit-learn, and reference values."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score

from cdb_video.metrics import classification_metrics, recall_per_class

GOLDEN = json.loads((Path(__file__).parent / "golden_metrics.json").read_text())["cases"]


def by_hand(target, prediction, num_classes):
    """Recall, precision and F1 of each class that has a sample, by counting."""
    recall, precision, f1 = {}, {}, {}
    for c in range(num_classes):
        right = sum(1 for t, p in zip(target, prediction, strict=True) if t == p == c)
        of_class = sum(1 for t in target if t == c)
        predicted = sum(1 for p in prediction if p == c)
        if of_class == 0:
            continue
        recall[c] = right / of_class
        precision[c] = right / predicted if predicted else 0.0
        f1[c] = 2 * right / (of_class + predicted)
    return recall, precision, f1


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("num_classes", [1, 2, 3, 5, 19, 106])
def test_equals_counting_by_hand(rng, num_classes):
    target = rng.integers(0, num_classes, 150) // 2 * 2  # odd classes are absent
    prediction = np.where(rng.random(150) < 0.4, target, rng.integers(0, num_classes, 150))
    got = classification_metrics(target, prediction, num_classes)
    recall, precision, f1 = by_hand(target.tolist(), prediction.tolist(), num_classes)
    assert got["num_samples"] == 150
    assert got["num_classes"] == num_classes
    assert got["top1"] == pytest.approx(mean(target == prediction))
    assert got["mean_class_recall"] == pytest.approx(mean(recall.values()))
    assert got["worst_class_recall"] == pytest.approx(min(recall.values()))
    assert got["mean_class_precision"] == pytest.approx(mean(precision.values()))
    assert got["mean_class_f1"] == pytest.approx(mean(f1.values()))
    assert got["absent_classes"] == [c for c in range(num_classes) if c not in recall]


def test_equals_sklearn_when_every_class_is_present(rng):
    target = np.concatenate([np.arange(19), rng.integers(0, 19, 300)])
    prediction = rng.integers(0, 19, len(target))
    got = classification_metrics(target, prediction, 19)
    assert got["mean_class_recall"] == pytest.approx(balanced_accuracy_score(target, prediction))
    expected = precision_score(target, prediction, average="macro", zero_division=0)
    assert got["mean_class_precision"] == pytest.approx(expected)
    assert got["mean_class_f1"] == pytest.approx(f1_score(target, prediction, average="macro"))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['num_classes']}_classes")
def test_equals_the_reference_values(case):
    num_classes, expected = case["num_classes"], case["expected"]
    got = classification_metrics(case["target"], case["prediction"], num_classes)
    assert got["top1"] == pytest.approx(expected["top1"], abs=1e-12)
    if expected["mean_class_recall"] is None:
        assert len(got["absent_classes"]) == 1
        assert 0 < got["mean_class_recall"] < 1
    else:
        assert got["absent_classes"] == []
        assert got["mean_class_recall"] == pytest.approx(expected["mean_class_recall"], abs=1e-12)
    present = num_classes - len(got["absent_classes"])
    over_all = got["mean_class_precision"] * present / num_classes
    assert over_all == pytest.approx(expected["mean_class_precision"], abs=1e-12)


@pytest.mark.parametrize("num_classes", [1, 2, 4, 5, 6, 19])
def test_top5_is_the_share_of_targets_among_the_best_five(rng, num_classes):
    target = rng.integers(0, num_classes, 80)
    scores = rng.random((80, num_classes))
    got = classification_metrics(target, scores.argmax(axis=1), num_classes, scores=scores)
    hits = [
        t in sorted(range(num_classes), key=lambda c, row=row: -row[c])[:5]
        for t, row in zip(target, scores, strict=True)
    ]
    assert got["top5"] == pytest.approx(mean(hits))
    assert (got["top5"] == 1.0) == (num_classes <= 5)


def test_equal_scores_have_one_rule():
    """The lowest id leads, for top-1 and for top-5 alike."""
    scores = np.full((8, 8), 0.125)
    target = np.arange(8)
    got = classification_metrics(target, scores.argmax(axis=1), 8, scores=scores)
    assert (got["top1"], got["top5"]) == (1 / 8, 5 / 8)
    coarse = np.random.default_rng(0).integers(0, 3, (200, 9)) / 2
    target = np.random.default_rng(1).integers(0, 9, 200)
    got = classification_metrics(target, coarse.argmax(axis=1), 9, scores=coarse)
    order = np.argsort(-coarse, axis=1, kind="stable")[:, :5]
    assert got["top5"] == (order == target[:, None]).any(axis=1).mean() >= got["top1"]


def test_top5_is_null_without_scores():
    assert classification_metrics([0, 1], [0, 1], 2)["top5"] is None


def test_a_class_never_predicted_has_precision_zero_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = classification_metrics([0, 0, 1], [0, 0, 0], 2)
    assert got["mean_class_precision"] == pytest.approx((2 / 3 + 0) / 2)
    assert got["mean_class_recall"] == pytest.approx(0.5)
    assert got["mean_class_f1"] == pytest.approx((0.8 + 0) / 2)


def test_an_absent_class_is_named_and_left_out_of_every_mean():
    names = ["cut", "pour", "mix"]
    got = classification_metrics([0, 0, 2], [0, 1, 2], 3, class_names=names)
    assert got["absent_classes"] == ["pour"]
    assert got["mean_class_recall"] == pytest.approx((0.5 + 1) / 2)
    assert got["mean_class_precision"] == pytest.approx(1)
    assert got["mean_class_f1"] == pytest.approx((2 / 3 + 1) / 2)


def test_groups_average_over_their_present_classes():
    target = [0, 0, 1, 1, 2, 3]
    prediction = [0, 0, 1, 0, 3, 3]
    got = classification_metrics(
        target,
        prediction,
        5,
        groups=["majority", "majority", "minority", "minority", "minority"],
    )
    assert list(got["groups"]) == ["majority", "minority"]
    assert got["groups"]["majority"] == {
        "num_classes": 2,
        "num_samples": 4,
        "recall": pytest.approx((1 + 0.5) / 2),
        "precision": pytest.approx((2 / 3 + 1) / 2),
    }
    assert got["groups"]["minority"] == {
        "num_classes": 2,
        "num_samples": 2,
        "recall": pytest.approx((0 + 1) / 2),
        "precision": pytest.approx((0 + 0.5) / 2),
    }


def test_a_group_without_a_present_class_is_null_and_keeps_its_place():
    got = classification_metrics(
        [0, 1], [0, 1], 3, groups=["few", "few", "many"], group_names=["many", "medium", "few"]
    )
    assert list(got["groups"]) == ["many", "medium", "few"]
    for name in ("many", "medium"):
        assert got["groups"][name] == {
            "num_classes": 0,
            "num_samples": 0,
            "recall": None,
            "precision": None,
        }


def test_the_result_is_plain_json(rng):
    scores = rng.random((30, 7)).astype(np.float32)
    got = classification_metrics(
        rng.integers(0, 6, 30),
        scores.argmax(axis=1),
        7,
        scores=scores,
        class_names=list("abcdefg"),
        groups=["x"] * 3 + ["y"] * 4,
    )
    assert json.loads(json.dumps(got)) == got


def test_takes_lists_arrays_and_tensors_alike(rng):
    target, scores = rng.integers(0, 8, 40), rng.random((40, 8))
    prediction = scores.argmax(axis=1)
    expected = classification_metrics(target, prediction, 8, scores=scores)
    lists = (target.tolist(), prediction.tolist())
    assert classification_metrics(*lists, 8, scores=scores.tolist()) == expected
    tensors = (torch.tensor(target), torch.tensor(prediction))
    assert classification_metrics(*tensors, 8, scores=torch.tensor(scores)) == expected


def test_recall_per_class_with_an_absent_class():
    recall, counts = recall_per_class([0, 0, 0, 2], [0, 0, 1, 1], 4)
    assert recall.dtype == np.float64
    assert counts.dtype == np.int64
    assert recall.tolist() == pytest.approx([2 / 3, 0, 0, 0])
    assert counts.tolist() == [3, 0, 1, 0]


@pytest.mark.parametrize(
    ("target", "prediction", "options", "message"),
    [
        ([], [], {}, "target is empty"),
        ([0, 1], [0], {}, "equally long, got 2 and 1"),
        ([0, 3], [0, 1], {}, r"target must lie in \[0, 3\), got 3 at position 1"),
        ([0, 1], [-2, 1], {}, r"prediction must lie in \[-1, 3\), got -2 at position 0"),
        ([-1, 1], [0, 1], {}, r"target must lie in \[0, 3\), got -1 at position 0"),
        ([0.0, 1.0], [0, 1], {}, "target must hold integers, got float64"),
        ([[0], [1]], [0, 1], {}, r"target must have the shape \(N,\), got \(2, 1\)"),
        ([0, 1], [0, 1], {"scores": np.ones((2, 2))}, r"shape \(2, 3\), got \(2, 2\)"),
        ([0, 1], [0, 1], {"scores": [[1, 2, 3], [1, np.nan, 3]]}, r"finite, got nan at \[1, 1\]"),
        ([0, 1], [0, 1], {"class_names": ["a"]}, "each of the 3 classes, got 1"),
        ([0, 1], [0, 1], {"groups": ["a", "b"]}, "each of the 3 classes, got 2"),
        ([0, 1], [0, 1], {"groups": list("aab"), "group_names": ["a"]}, r"among \['a'\]"),
    ],
)
def test_wrong_input_is_one_line(target, prediction, options, message):
    with pytest.raises(ValueError, match=message) as raised:
        classification_metrics(target, prediction, 3, **options)
    assert "\n" not in str(raised.value)


def test_no_class_is_refused():
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        recall_per_class([0], [0], 0)


def test_a_sample_without_prediction_is_not_recognised():
    target, prediction = [0, 0, 1, 1, 2, 3, 4, 5], [0, -1, 1, 0, 2, 3, 4, -1]
    scores = np.eye(6)[target]
    metrics = classification_metrics(target, prediction, 6, scores=scores)
    assert metrics["num_samples"] == 8
    assert metrics["top1"] == 5 / 8
    assert metrics["top5"] == 6 / 8
    assert metrics["mean_class_recall"] == pytest.approx((0.5 + 0.5 + 1 + 1 + 1 + 0) / 6)
    assert metrics["mean_class_precision"] == pytest.approx((0.5 + 1 + 1 + 1 + 1 + 0) / 6)


def test_average_precision_equals_the_area_under_steps(rng):
    target = rng.integers(0, 4, 60) // 2 * 2  # classes 1 and 3 are absent
    scores = rng.random((60, 4)).round(1)  # with ties
    got = classification_metrics(target, scores.argmax(axis=1), 4, scores=scores)
    found = []
    for c in (0, 2):
        right = target == c
        area, before = 0.0, 0.0
        for threshold in sorted(set(scores[:, c]), reverse=True):
            kept = scores[:, c] >= threshold
            recall = (kept & right).sum() / right.sum()
            area += (recall - before) * (kept & right).sum() / kept.sum()
            before = recall
        found.append(area)
    assert got["mean_average_precision"] == pytest.approx(mean(found))
    assert classification_metrics(target, target, 4)["mean_average_precision"] is None
