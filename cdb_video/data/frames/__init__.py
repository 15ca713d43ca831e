"""Frames: the choice of frames of a clip, and the changes to their pixels."""
