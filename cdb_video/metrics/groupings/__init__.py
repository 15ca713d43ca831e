"""Groupings of classes by their size, one in each file."""
