"""Reads the docstring under each option field, for ``--help``."""

import ast
import dataclasses
import inspect
import sys
import textwrap
from functools import cache
from typing import Any, get_type_hints

from cdb_video.config.tree import known_keys
from cdb_video.config.types import describe


@cache
def field_docs(cls: type) -> dict[str, str]:
    """Field name -> the docstring under it, in one line, for a dataclass and its bases."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        body = _classes(base.__module__)[base.__qualname__.replace("<locals>.", "")].body
        for statement, below in zip(body, body[1:], strict=False):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(statement, ast.AnnAssign) and is_text:
                docs[statement.target.id] = " ".join(str(below.value.value).split())  # type: ignore[union-attr,attr-defined]
    return docs


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """Qualified name -> class of a module. Its source is read once for all of them."""
    found: dict[str, ast.ClassDef] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                if isinstance(child, ast.ClassDef):
                    found[prefix + child.name] = child
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(inspect.getsource(sys.modules[module])), "")
    return found


def option_help(cls: type) -> str:
    """All options below ``cls``: key, allowed values, default, documentation."""
    blocks = []
    for key, owner, name in known_keys(cls):
        allowed = describe(get_type_hints(owner, include_extras=True)[name])
        text = textwrap.fill(
            field_docs(owner).get(name, ""), 92, initial_indent="    ", subsequent_indent="    "
        )
        blocks.append(f"{key}  [{allowed}; {_default(owner, name)}]\n{text}".rstrip())
    return "\n".join(blocks)


def _default(owner: type, name: str) -> str:
    field: Any = next(f for f in dataclasses.fields(owner) if f.name == name)
    if field.default is not dataclasses.MISSING:
        value = field.default
        return f"default {list(value) if isinstance(value, tuple) else value!r}"
    return "required"
