"""Top-1, top-5, average precision, and recall, precision and F1 over classes and their groups.

scikit-learn is imported only when it computes, because its import takes a second.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.metrics.checks import IntArray, check_labels, check_per_class, check_scores
from cdb_video.metrics.ranks import ranks


def classification_metrics(
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    num_classes: int,
    *,
    scores: npt.ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    group_names: Sequence[str] | None = None,
    average_precision: bool = True,
) -> dict[str, Any]:
    """The metrics of a model, ready for JSON; fractions in [0, 1].

    A class without a sample in ``target`` is absent. Means and groups leave it out, and
    ``absent_classes`` names it. A class that is present but never predicted has precision 0.

    Args:
        target: true class of each sample, ``(N,)``, integers in ``[0, K)``, N >= 1.
        prediction: predicted class of each sample, ``(N,)``; -1 for none.
        num_classes: K.
        scores: score of each class, ``(N, K)``; for ``top5`` and ``mean_average_precision``.
        class_names: ``(K,)``, used in ``absent_classes`` in place of class ids.
        groups: name of the group of each class, ``(K,)``, as ``group_classes`` gives it.
        group_names: all groups in the wanted order; by default in that of their first classes.
        average_precision: whether to compute it, which is slow.

    Returns:
        ``num_samples, num_classes, top1, top5`` (null without scores; the best K where K < 5),
        ``mean_class_recall`` (also called balanced accuracy), ``worst_class_recall,
        mean_class_precision, mean_class_f1, mean_average_precision`` (each class against the
        others; null without scores or ``average_precision``), ``absent_classes`` and ``groups
        {name: {num_classes, num_samples, recall, precision}}``, of the classes present.

    Raises:
        ValueError: lengths, ranges or names do not fit together.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    target, prediction = check_labels(target, prediction, num_classes)
    if class_names is not None:
        check_per_class(class_names, num_classes, "class_names")
    present = np.unique(target)
    sort = average_precision and scores is not None
    precision, recall, f1, _ = per_class = precision_recall_fscore_support(
        target, prediction, labels=present, average=None, zero_division=0
    )
    absent = np.setdiff1d(np.arange(num_classes), present).tolist()
    return {
        "num_samples": len(target),
        "num_classes": num_classes,
        "top1": float(accuracy_score(target, prediction)),
        "top5": None if scores is None else _top_k(target, prediction, scores, num_classes, k=5),
        "mean_class_recall": float(recall.mean()),
        "worst_class_recall": float(recall.min()),
        "mean_class_precision": float(precision.mean()),
        "mean_class_f1": float(f1.mean()),
        "mean_average_precision": _mean_ap(target, scores, num_classes) if sort else None,
        "absent_classes": absent if class_names is None else [class_names[c] for c in absent],
        "groups": _group_means(present, per_class, num_classes, groups, group_names),
    }


def recall_per_class(
    target: npt.ArrayLike, prediction: npt.ArrayLike, num_classes: int
) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Recall ``(K,)``, 0 for a class without samples, and the number of samples ``(K,)``."""
    from sklearn.metrics import recall_score

    target, prediction = check_labels(target, prediction, num_classes)
    recall = recall_score(
        target, prediction, labels=np.arange(num_classes), average=None, zero_division=0
    )
    return recall.astype(np.float64), np.bincount(target, minlength=num_classes).astype(np.int64)


def _top_k(
    target: IntArray, prediction: IntArray, scores: npt.ArrayLike, num_classes: int, k: int
) -> float:
    found = ranks(check_scores(scores, len(target), num_classes), target) < k
    return float((found & (prediction >= 0)).mean())


def _mean_ap(target: IntArray, scores: Any, num_classes: int) -> float:
    """Average precision of each class that is present, averaged over them."""
    from sklearn.metrics import average_precision_score

    scores = check_scores(scores, len(target), num_classes)
    found = [average_precision_score(target == c, scores[:, c]) for c in np.unique(target)]
    return float(np.mean(found))


def _group_means(
    present: IntArray,
    per_class: Sequence[npt.NDArray[np.float64]],
    num_classes: int,
    groups: Sequence[str] | None,
    group_names: Sequence[str] | None,
) -> dict[str, dict[str, Any]]:
    """Means over the present classes of each group.

    ``per_class`` are precision, recall, F1 and samples, each ``(present,)``.
    """
    precision, recall, _, support = per_class
    if groups is None:
        return {}
    check_per_class(groups, num_classes, "groups")
    names = list(dict.fromkeys(groups)) if group_names is None else list(group_names)
    unknown = sorted(set(groups) - set(names))
    if unknown:
        raise ValueError(f"groups must be among {names}, got {unknown}")
    group_of_present = np.array([groups[c] for c in present])
    means: dict[str, dict[str, Any]] = {}
    for name in names:
        members = group_of_present == name
        means[name] = {
            "num_classes": int(members.sum()),
            "num_samples": int(support[members].sum()),
            "recall": float(recall[members].mean()) if members.any() else None,
            "precision": float(precision[members].mean()) if members.any() else None,
        }
    return means
