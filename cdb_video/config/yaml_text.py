"""Reads YAML from any source safely: plain values only, each key once, no aliases."""

from typing import Any

import yaml

MAX_CHARACTERS = 1_000_000
"""Longer than any config."""
MAX_DEPTH = 50
"""Of nested lists and mappings."""


class _Refused(ValueError):
    """The YAML is not a plain config."""


class _Loader(yaml.SafeLoader):
    """Refuses aliases, and a key that is given twice: YAML would take the last one.

    A few nested aliases can expand to more values than memory holds.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            raise _Refused(f"line {line}: aliases are not understood, got *{event.anchor}")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Refused(f"more than {MAX_DEPTH} levels are nested")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                raise _Refused(f"line {key_node.start_mark.line + 1}: a key must be plain text")
            if key in seen:
                raise _Refused(f"line {key_node.start_mark.line + 1}: {key} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """The value that ``text`` describes.

    Raises:
        ValueError: it is not YAML, repeats a key, has aliases, or is far too long or deep; one
            line.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it is longer than {MAX_CHARACTERS:,} characters")
    try:
        return yaml.load(text, _Loader)
    except _Refused:
        raise
    # PyYAML raises many kinds of errors: for February 30, !!bool 7, 0x_ and deep nesting.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"it is not YAML: {reason}") from None
