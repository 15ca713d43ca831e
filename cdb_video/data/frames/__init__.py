"""Frames: which make up a clip, and what becomes of their pixels."""
