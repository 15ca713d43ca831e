"""Retraining: new classifiers on the frozen backbone of a checkpoint."""
