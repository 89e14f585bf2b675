"""What is left of a function, made short: no name that is read once in the next line."""

from __future__ import annotations

import ast
import re
from typing import Any

from blocks.surgery.ejecting.printing import WIDTH, text
from blocks.surgery.ejecting.values import names, substituted

__all__: list[str] = []


def tidied(tree: ast.FunctionDef) -> None:
    """Makes a definition shorter, in place."""
    tree.body = shorter(tree.body)
    for label in sorted(_numbered(tree), key=lambda one: int(one.rpartition("_")[2])):
        _merge(tree, label)


def swept(body: list[Any], live: set[str] | None = None) -> list[Any]:
    """Statements without those that only name what nobody reads."""
    live = set() if live is None else live
    kept: list[Any] = []
    for one in reversed(body):
        if isinstance(one, ast.If | ast.For):
            _sweep_inside(one, live)
            if not one.body:
                continue
        target = _target(one)
        if target is not None:
            if target not in live:
                continue
            live.discard(target)
        live |= _read(one)
        kept.append(one)
    return kept[::-1]


def _sweep_inside(one: Any, live: set[str]) -> None:
    after = set(live)
    if isinstance(one, ast.For):  # what a round leaves the next may read
        after |= _read(one)
        _counted(one, after)
        one.body = swept(one.body, set(after))
        return
    one.body = swept(one.body, set(after))
    one.orelse = swept(one.orelse, set(after))


def _counted(one: ast.For, live: set[str]) -> None:
    """A loop that counts for nobody doesn't count."""
    over: Any = one.iter
    if (
        isinstance(over, ast.Call)
        and isinstance(over.func, ast.Name)
        and over.func.id == "enumerate"
    ):
        number: Any = one.target.elts[0]  # pyright: ignore[reportAttributeAccessIssue]
        inside = set().union(*(names(part) for part in one.body))
        if number.id not in inside:
            one.target, one.iter = one.target.elts[1], over.args[0]  # pyright: ignore


def _read(node: Any) -> set[str]:
    """The names that a statement reads."""
    if isinstance(node, ast.Assign):
        stored = {
            part.id
            for target in node.targets
            for part in ([target] if isinstance(target, ast.Name) else getattr(target, "elts", []))
            if isinstance(part, ast.Name)
        }
        held = set().union(*(names(t) for t in node.targets)) - stored
        return names(node.value) | held
    return names(node)


def shorter(body: list[Any]) -> list[Any]:
    """Statements without those that nobody reads, and those that the next alone reads."""
    body = list(body)
    i = len(body) - 2
    while i >= 0:
        one, rest = body[i], body[i + 1 :]
        target = _target(one)
        if target is not None and re.fullmatch(r".+_\d+|y|x", target):
            after: Any = body[i + 1]
            uses = sum(_reads(later, target) for later in rest)
            stored = _target(after) == target
            alone = uses == 1 or (stored and _reads(after, target) == 1)
            if (
                type(after) in (ast.Assign, ast.Return, ast.Expr)
                and alone
                and _reads(after, target) == 1
                and after.value is not None
            ):
                merged = substituted(after.value, {target: one.value})
                if len(text(merged)) < WIDTH - 20 and not getattr(one, "above", ()):
                    after.value = merged
                    after.end = getattr(after, "end", "") or getattr(one, "end", "")
                    del body[i]
        i -= 1
    return body


def together(body: list[Any]) -> list[Any]:
    """The lines of a constructor, those that only keep a number joined in one."""
    found: list[Any] = []
    for one in body:
        last = found[-1] if found else None
        if _keeps(one) and last is not None and _keeps(last):
            targets = [*_parts(last.targets[0]), one.targets[0]]
            values = [*_parts(last.value), one.value]
            made: Any = ast.Assign([ast.Tuple(targets)], ast.Tuple(values))
            if len(text(made.targets[0])) + len(text(made.value)) < WIDTH - 24:
                found[-1] = made
                continue
        found.append(one)
    return found


def _keeps(one: Any) -> bool:
    if not isinstance(one, ast.Assign) or getattr(one, "end", "") or getattr(one, "above", ()):
        return False
    pairs = [*_parts(one.targets[0]), *_parts(one.value)]
    simple = (
        isinstance(part, ast.Name)
        or (isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name))
        for part in pairs
    )
    return all(simple) and all(isinstance(part, ast.Attribute) for part in _parts(one.targets[0]))


def _parts(node: Any) -> list[Any]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _target(node: Any) -> str | None:
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
    first = next((i for i, one in enumerate(tree.body) if _target(one) == label), None)
    if first is None:
        return
    later = tree.body[first + 1 :]
    if any(_reads(one, base) or _target(one) == base for one in later):
        return
    for one in tree.body[first:]:
        for part in ast.walk(one):
            if isinstance(part, ast.Name) and part.id == label:
                part.id = base
