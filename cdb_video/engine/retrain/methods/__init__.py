"""Retraining methods, one in each file."""
