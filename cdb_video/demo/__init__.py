"""The videos and the config of the demo."""

from pathlib import Path

CONFIG = Path(__file__).with_name("demo_cdb.yaml")
"""The file in ``configs/``, which the package carries along."""
