"""Code as a tree: pieces of it made, and what is in them."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

__all__: list[str] = []


def name(text: str) -> ast.expr:
    return ast.Name(text)


def dotted(text: str) -> ast.expr:
    first, *rest = text.split(".")
    node = name(first)
    for part in rest:
        node = ast.Attribute(node, part)
    return node


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def calling(function: str | ast.expr, *args: ast.expr, **options: ast.expr) -> ast.Call:
    keywords = [ast.keyword(key, value) for key, value in options.items()]
    return ast.Call(dotted(function) if isinstance(function, str) else function, [*args], keywords)


def joined_by(op: ast.boolop, parts: list[ast.expr]) -> ast.expr:
    """Conditions joined by `and` or `or`."""
    return parts[0] if len(parts) == 1 else ast.BoolOp(op, parts)


def line(node: Any, end: str = "", above: tuple[str, ...] = ()) -> Any:
    """A statement with its comments: at its end, and on lines of their own above it."""
    node.end, node.above = end, above
    return node


def setting(target: Any, value: ast.expr, end: str = "") -> Any:
    """The line `target = value`."""
    return line(ast.Assign([target], value), end)


def defining(label: str, args: list[ast.arg], body: list[Any], gives: Any = None) -> Any:
    """The definition of a function; `doc` is its docstring."""
    tree: Any = ast.FunctionDef(label, ast.arguments([], args, None, [], [], None, []), body, [])
    tree.returns, tree.doc = gives, None
    return tree


class _Substitution(ast.NodeTransformer):
    def __init__(self, parts: Mapping[str, ast.expr]):
        self.parts = parts

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.parts.get(node.id, node)


def substituted(node: Any, parts: Mapping[str, ast.expr]) -> Any:
    """Code in which names stand for other code."""
    return _Substitution(parts).visit(copy.deepcopy(node))


def names(*nodes: ast.AST) -> set[str]:
    """Every name that code reads or writes."""
    parts = (part for node in nodes for part in ast.walk(node))
    return {part.id for part in parts if isinstance(part, ast.Name)}


def stored_names(*nodes: ast.AST) -> Counter[str]:
    """The names that code gives values, and how often."""
    parts = (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name))
    return Counter(part.id for part in parts if isinstance(part.ctx, ast.Store))


def of_self(*nodes: ast.AST) -> set[str]:
    """Every attribute of `self` that code names."""
    parts = (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Attribute))
    return {one.attr for one in parts if isinstance(one.value, ast.Name) and one.value.id == "self"}


def simple(node: ast.expr) -> bool:
    """Whether code may stand in several places."""
    if isinstance(node, ast.Attribute):
        return simple(node.value)
    return isinstance(node, ast.Name | ast.Constant)


def numbered(label: str, gap: str = "_") -> Iterator[str]:
    """A name and, where it is taken, the same one with a number."""
    yield label
    yield from (f"{label}{gap}{i}" for i in count(2))


def filed(table: dict[str, Any], label: str, tree: Any, gap: str = "_") -> str:
    """The name of a definition in a table that holds each text once."""
    tree.name = ""
    tree.text = ast.dump(tree)
    fits = (one for one in numbered(label, gap) if one not in table or table[one].text == tree.text)
    tree.name = next(fits)
    table.setdefault(tree.name, tree)
    return tree.name


def joined_name(kind: type[Any], attr: str) -> str:
    """What a method is called as a function."""
    return "_".join(filter(None, [snake(kind.__name__.strip("_")), attr.strip("_")]))


def snake(text: str) -> str:
    """CamelCase -> camel_case, RMSNorm -> rms_norm."""
    out = ""
    for i, letter in enumerate(text):
        after = text[i + 1 : i + 2]
        starts = i and letter.isupper() and (text[i - 1].islower() or (after and after.islower()))
        out += ("_" if starts else "") + letter.lower()
    return {"ro_pe": "rope"}.get(out, out)
