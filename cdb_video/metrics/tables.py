"""Rows of the tables of a test: one for each class, and the confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.metrics.checks import check_labels, check_per_class

CONFUSION_CORNER = r"true\predicted"


def per_class_table(
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    num_classes: int,
    *,
    class_names: Sequence[str] | None = None,
    train_counts: Sequence[int] | None = None,
    groups: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """One dict for each class, in the order of class ids.

    Keys: ``class`` (id, from 0), ``name``, ``n_train``, ``n_test``, ``n_predicted``,
    ``precision``, ``recall``, ``f1`` (fractions) and ``group``. Unknown values are None, an empty
    cell in CSV: recall and F1 of a class without a test sample, and ``n_train`` and ``group`` if
    they are not given.

    Args:
        target: true class of each sample, ``(N,)``, integers in ``[0, K)``, N >= 1.
        prediction: predicted class of each sample, ``(N,)``.
        num_classes: K.
        class_names: ``(K,)``; by default the class ids as text.
        train_counts: training samples of each class, ``(K,)``.
        groups: name of the group of each class, ``(K,)``.

    Raises:
        ValueError: if lengths or ranges do not fit together.
    """
    from sklearn.metrics import precision_recall_fscore_support

    target, prediction = check_labels(target, prediction, num_classes)
    columns = {"class_names": class_names, "train_counts": train_counts, "groups": groups}
    for name, values in columns.items():
        if values is not None:
            check_per_class(values, num_classes, name)
    precision, recall, f1, n_test = precision_recall_fscore_support(
        target, prediction, labels=np.arange(num_classes), average=None, zero_division=0
    )
    n_predicted = np.bincount(prediction[prediction >= 0], minlength=num_classes)
    return [
        {
            "class": c,
            "name": str(c) if class_names is None else class_names[c],
            "n_train": None if train_counts is None else int(train_counts[c]),
            "n_test": int(n_test[c]),
            "n_predicted": int(n_predicted[c]),
            "precision": float(precision[c]),
            "recall": float(recall[c]) if n_test[c] else None,
            "f1": float(f1[c]) if n_test[c] else None,
            "group": None if groups is None else groups[c],
        }
        for c in range(num_classes)
    ]


def confusion_rows(
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    num_classes: int,
    *,
    class_names: Sequence[str] | None = None,
) -> list[list[str | int]]:
    r"""The confusion matrix as K + 1 rows of K + 1 cells, ready for ``csv.writer``.

    The first row is ``true\predicted`` and the names. Each further row is the name of a true class
    and its number of samples predicted as each class.

    Raises:
        ValueError: if lengths or ranges do not fit together.
    """
    from sklearn.metrics import confusion_matrix

    target, prediction = check_labels(target, prediction, num_classes)
    if class_names is None:
        class_names = [str(c) for c in range(num_classes)]
    check_per_class(class_names, num_classes, "class_names")
    counts = confusion_matrix(target, prediction, labels=np.arange(num_classes))
    rows: list[list[str | int]] = [[CONFUSION_CORNER, *class_names]]
    rows += [[name, *row.tolist()] for name, row in zip(class_names, counts, strict=True)]
    return rows
