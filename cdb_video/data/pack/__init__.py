"""Packing: re-encodes every clip, small and quick to decode."""
