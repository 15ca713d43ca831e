"""Metrics from labels and predictions, computed by scikit-learn."""

from cdb_video.metrics.classification import classification_metrics, recall_per_class
from cdb_video.metrics.groups import group_classes
from cdb_video.metrics.tables import confusion_rows, per_class_table

__all__ = [
    "classification_metrics",
    "confusion_rows",
    "group_classes",
    "per_class_table",
    "recall_per_class",
]
