"""Makes the videos of the demo, and knows its config."""

from pathlib import Path

CONFIG = Path(__file__).with_name("demo_cdb.yaml")
"""The file in ``configs/``, which the package carries along."""
