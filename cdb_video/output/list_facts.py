"""``lists.json`` of a run folder: what the lists of its splits said (``data.lists.facts``)."""

import json
from pathlib import Path
from typing import Any

from cdb_video.system.files import write_text
from cdb_video.system.json_text import parsed


def read_list_facts(path: Path) -> dict[str, Any]:
    """Split -> its facts; empty of a run of before, or where the file is damaged."""
    try:
        found = parsed(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {}
    return found if isinstance(found, dict) else {}


def write_list_facts(path: Path, facts: dict[str, Any]) -> None:
    """Writes the facts of splits beside what is known of others."""
    write_text(path, json.dumps({**read_list_facts(path), **facts}, indent=1) + "\n")
