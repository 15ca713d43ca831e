"""Batches: clips that are decoded by workers, or cut from images in memory."""
