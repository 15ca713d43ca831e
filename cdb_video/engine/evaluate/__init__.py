"""Evaluation: turns batches into votes, and votes into scores and metrics."""
