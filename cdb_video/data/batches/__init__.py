"""Batches: clips that workers decode, or that are cut from images in memory."""
