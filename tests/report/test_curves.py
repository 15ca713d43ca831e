"""Which classes the difficulty curves single out, and what is written beside them."""

import math

import pytest
from page_parser import Page

from cdb_video.output.rows import DifficultyRow
from cdb_video.report.curves import difficulty_curves, training_curves


def rows_from(difficulties, names=None, tau=1.0):
    """``difficulties``: one list over epochs for each class."""
    return [
        DifficultyRow(epoch, c, names[c] if names else f"class {c}", 9, 0.5, difficulty, 1.0, tau)
        for c, over_epochs in enumerate(difficulties)
        for epoch, difficulty in enumerate(over_epochs, start=1)
    ]


def legend(svg, names):
    return [text for text in Page(svg).svg_texts if text in names]


def test_up_to_eight_classes_are_all_named_hardest_first():
    rows = rows_from([[0.9, 0.2], [0.1, 0.8], [0.5, 0.5]])
    shown = legend(difficulty_curves(rows), {row.name for row in rows})
    assert shown == ["class 1", "class 2", "class 0"]


def test_of_many_classes_the_four_hardest_and_four_easiest_at_the_end_are_named():
    rows = rows_from([[0.5, c / 20] for c in range(20)])
    shown = legend(difficulty_curves(rows), {row.name for row in rows})
    assert shown == [f"class {c}" for c in (19, 18, 17, 16, 3, 2, 1, 0)]


def test_among_equals_the_class_that_was_hard_for_longer_comes_first():
    rows = rows_from([[0.1, 1.0], [0.9, 1.0], [0.5, 1.0]])
    shown = legend(difficulty_curves(rows), {row.name for row in rows})
    assert shown == ["class 1", "class 2", "class 0"]


def test_a_name_is_text_and_never_mathematics():
    name = "$x_1$ cut"
    assert legend(difficulty_curves(rows_from([[0.5]], [name])), {name}) == [name]


@pytest.mark.parametrize("tau", [None, 0.0, 2.0])
def test_any_tau_draws(tau):
    assert "<svg" in difficulty_curves(rows_from([[0.5, 0.4]], tau=tau))


def test_nothing_to_draw_is_nothing():
    assert difficulty_curves([]) is None
    assert training_curves({}, {}) is None


def test_missing_and_non_finite_numbers_leave_a_gap_not_an_error():
    train = {1: {"loss": math.nan, "lr": 0.1}, 2: {"loss": 1.0}, 3: {}}
    svg = training_curves(train, {})
    assert "nan" not in svg.lower()
    assert "training" in Page(svg).svg_texts
    assert "validation" not in Page(svg).svg_texts
