"""Retrain: other classifiers on the frozen backbone of a checkpoint, one file a method."""
