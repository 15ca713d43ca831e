"""The per-class rows and the confusion matrix, against counting and against the summary."""

import csv
import io

import numpy as np
import pytest

from cdb_video.metrics import classification_metrics, confusion_rows, per_class_table

COLUMNS = "class,name,n_train,n_test,n_predicted,precision,recall,f1,group"


def test_per_class_rows_of_a_small_case():
    rows = per_class_table(
        [0, 0, 0, 2],
        [0, 0, 1, 0],
        3,
        class_names=["cut", "pour", "mix"],
        train_counts=np.array([9, 2, 4]),
        groups=["majority", "minority", "minority"],
    )
    assert [",".join(row) for row in rows] == [COLUMNS] * 3
    assert list(rows[0].values()) == [
        *(0, "cut", 9, 3, 3, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3)),
        "majority",
    ]
    assert list(rows[1].values()) == [1, "pour", 2, 0, 1, 0.0, None, None, "minority"]
    assert list(rows[2].values()) == [2, "mix", 4, 1, 0, 0.0, 0.0, 0.0, "minority"]


def test_what_is_absent_or_unknown_is_empty_in_csv():
    buffer = io.StringIO()
    rows = per_class_table([0], [0], 2)
    writer = csv.DictWriter(buffer, COLUMNS.split(","), lineterminator="\n")
    writer.writerows(rows)
    assert buffer.getvalue() == "0,0,,1,1,1.0,1.0,1.0,\n1,1,,0,0,0.0,,,\n"


def test_per_class_means_are_the_summary():
    rng = np.random.default_rng(3)
    target, prediction = rng.integers(0, 15, 90), rng.integers(0, 19, 90)
    summary = classification_metrics(target, prediction, 19)
    rows = [row for row in per_class_table(target, prediction, 19) if row["n_test"]]
    assert len(rows) == 19 - len(summary["absent_classes"])
    for column in ("recall", "precision", "f1"):
        expected = sum(row[column] for row in rows) / len(rows)
        assert summary[f"mean_class_{column}"] == pytest.approx(expected)


def test_confusion_rows_count_every_pair():
    rng = np.random.default_rng(4)
    target, prediction = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    names = ["a", "b, c", "d", "e", "f"]
    header, *rows = confusion_rows(target, prediction, 5, class_names=names)
    assert header == ["true\\predicted", *names]
    assert [row[0] for row in rows] == names
    for true, row in enumerate(rows):
        for predicted, count in enumerate(row[1:]):
            pairs = zip(target, prediction, strict=True)
            assert count == sum(1 for pair in pairs if pair == (true, predicted))
            assert type(count) is int


def test_classes_are_called_by_their_id_without_names():
    assert confusion_rows([1], [0], 2) == [["true\\predicted", "0", "1"], ["0", 0, 0], ["1", 1, 0]]


@pytest.mark.parametrize("column", ["class_names", "train_counts", "groups"])
def test_a_column_of_the_wrong_length_is_refused(column):
    with pytest.raises(ValueError, match=f"{column} must have one entry for each of the 3 classes"):
        per_class_table([0], [0], 3, **{column: ["1", "2"]})


def test_confusion_names_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match="class_names must have one entry"):
        confusion_rows([0], [0], 3, class_names=["a"])
