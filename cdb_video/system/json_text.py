"""Reads JSON that a killed process, or somebody, may have damaged."""

import json
from typing import Any


def parsed(text: str) -> Any:
    """The value in ``text``; None where it is damaged, or nested too deep to be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
