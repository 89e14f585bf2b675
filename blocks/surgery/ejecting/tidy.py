"""What is left of a function, made short: no name that is read once in the next line."""

from __future__ import annotations

import ast
import re
from typing import Any

from blocks.surgery.ejecting.code import line, names, setting, substituted
from blocks.surgery.ejecting.printing import WIDTH, text

__all__: list[str] = []


def tidied(tree: ast.FunctionDef) -> None:
    """Makes a definition shorter, in place."""
    tree.body = shorter(tree.body)
    for label in sorted(_numbered(tree), key=lambda one: int(one.rpartition("_")[2])):
        _merge(tree, label)


def swept(body: list[Any], live: set[str] | None = None) -> list[Any]:
    """Statements without those that only name what nobody reads; `live` is read behind them."""
    live = set() if live is None else live
    kept: list[Any] = []
    for one in reversed(body):
        if isinstance(one, ast.For):  # what a round leaves the next may read
            uncounted(one)
            one.body = swept(one.body, live | _read(one))
        if isinstance(one, ast.If):
            one.body, one.orelse = swept(one.body, set(live)), swept(one.orelse, set(live))
        target = target_of(one)
        if target in live or (target is None and getattr(one, "body", True)):
            live -= {target}
            live |= _read(one)
            kept.append(one)
    return kept[::-1]


def uncounted(loop: ast.For) -> None:
    """Leaves out the count of a loop that nobody reads."""
    match loop:
        case ast.For(
            target=ast.Tuple(elts=[ast.Name(id=number), target]),
            iter=ast.Call(func=ast.Name(id="enumerate"), args=[over]),
        ) if number not in names(*loop.body):
            loop.target, loop.iter = target, over


def _read(node: Any) -> set[str]:
    """The names that a statement reads."""
    if not isinstance(node, ast.Assign):
        return names(node)
    targets = [part for target in node.targets for part in _parts(target)]
    return names(node.value, *(part for part in targets if not isinstance(part, ast.Name)))


def straight(body: list[Any]) -> list[Any]:
    """Statements in which what is returned gets no name in the line before."""
    if len(body) < 2 or not isinstance(body[-1], ast.Return):
        return body
    *rest, one, last = body
    if not isinstance(last.value, ast.Name) or target_of(one) != last.value.id:
        return body
    return [*rest, line(ast.Return(one.value), last.end or one.end, one.above)]


def shorter(body: list[Any]) -> list[Any]:
    """Statements without those that the next alone reads, and whose name says nothing."""
    body = list(body)
    for i in reversed(range(len(body) - 1)):
        one: Any = body[i]
        after: Any = body[i + 1]
        target = target_of(one)
        if target is None or one.above or not re.fullmatch(r".+_\d+|y|x", target):
            continue
        uses = sum(_reads(later, target) for later in body[i + 1 :])
        alone = _reads(after, target) == 1 and (uses == 1 or target_of(after) == target)
        if alone and type(after) in (ast.Assign, ast.Return, ast.Expr):
            merged = substituted(after.value, {target: one.value})
            if len(text(merged)) < WIDTH - 20:
                after.value, after.end = merged, after.end or one.end
                del body[i]
    return body


def together(body: list[Any]) -> list[Any]:
    """The lines of a constructor, those that only keep a number joined in one."""
    found: list[Any] = []
    for one in body:
        if found and _keeps(one) and _keeps(found[-1]):
            targets = ast.Tuple([*_parts(found[-1].targets[0]), one.targets[0]])
            values = ast.Tuple([*_parts(found[-1].value), one.value])
            if len(text(targets)) + len(text(values)) < WIDTH - 24:
                found[-1] = setting(targets, values)
                continue
        found.append(one)
    return found


def _keeps(one: Any) -> bool:
    if not hasattr(one, "targets") or one.end or one.above:
        return False
    targets, values = _parts(one.targets[0]), _parts(one.value)
    held = all(isinstance(part, ast.Attribute) for part in targets)
    inner = (part.value if isinstance(part, ast.Attribute) else part for part in targets + values)
    return held and all(isinstance(part, ast.Name) for part in inner)


def _parts(node: Any) -> list[Any]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def target_of(node: Any) -> str | None:
    """The one name that a statement gives a value."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _reads(node: Any, label: str) -> int:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        node = node.value
    return sum(isinstance(part, ast.Name) and part.id == label for part in ast.walk(node))


def _numbered(tree: ast.FunctionDef) -> set[str]:
    return {one for one in names(tree) if re.fullmatch(r".+_\d+", one)}


def _merge(tree: ast.FunctionDef, label: str) -> None:
    """Gives a numbered name the plain one, where nobody reads what that held before."""
    base = label.rpartition("_")[0]
    first = next((i for i, one in enumerate(tree.body) if target_of(one) == label), None)
    if first is None:
        return
    later = tree.body[first + 1 :]
    if any(_reads(one, base) or target_of(one) == base for one in later):
        return
    for one in tree.body[first:]:
        for part in ast.walk(one):
            if isinstance(part, ast.Name) and part.id == label:
                part.id = base
