"""Evaluate: from batches to votes, from votes to numbers."""
