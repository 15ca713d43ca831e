"""Preparation: turns options into the parts of a run. Nothing below reads the options."""
