"""Packing: every clip again, small and quick to decode."""
