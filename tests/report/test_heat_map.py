"""The heat map of difficulty: order and names of the classes."""

from page_parser import Page

from cdb_video.output.rows import DifficultyRow
from cdb_video.report.heat_map import difficulty_heat_map


def rows(num_classes, num_epochs=3):
    return [
        DifficultyRow(epoch, c, f"class {c}", 9, 0.5, 0.5, 1.0, 1.0)
        for epoch in range(1, num_epochs + 1)
        for c in range(num_classes)
    ]


def named(svg):
    return [text for text in Page(svg).svg_texts if text.startswith("class")]


def test_classes_stand_from_large_to_small_with_their_size():
    svg = difficulty_heat_map(rows(3), {0: 5, 1: 70, 2: 30})
    assert named(svg) == ["class 1 (70)", "class 2 (30)", "class 0 (5)"]


def test_without_sizes_they_stand_by_id():
    assert named(difficulty_heat_map(rows(3), {})) == ["class 0", "class 1", "class 2"]


def test_many_classes_are_not_named_one_by_one():
    assert named(difficulty_heat_map(rows(100), {})) == ["classes, largest first"]


def test_one_validation_draws_and_none_does_not():
    assert "<svg" in difficulty_heat_map(rows(2, 1), {})
    assert difficulty_heat_map([], {}) is None
