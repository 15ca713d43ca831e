"""cdb_video: action recognition on imbalanced video data."""

__version__ = "0.1.0"
