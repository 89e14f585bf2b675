"""Functions and methods: what their arguments are outside and inside, and their definitions."""

from __future__ import annotations

import ast
from typing import Any

from torch import nn

from blocks.surgery.ejecting.scopes import Scope
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.tidy import swept
from blocks.surgery.ejecting.values import (
    Closure,
    Code,
    Fields,
    Known,
    Many,
    Memory,
    Part,
    Value,
    dotted,
    name,
    names,
    plain,
)

__all__: list[str] = []

WORDS = {"Tensor", "int", "float", "bool", "str", "tuple", "list", "dict", "torch", "nn"}


class Entry:
    """The arguments of a function or method: what they are outside, and by which name inside."""

    def __init__(self, walk: Any, scope: Scope, memory: Memory | None = None):
        self.walk, self.scope, self.memory = walk, scope, memory
        self.outside: dict[str, Value] = {}
        scope.outside = self.outside

    def given(self, key: str, value: Value, own: bool = False) -> Value:
        """What an argument is inside."""
        if isinstance(value, Code):
            label = self.named(key, value)
            return Code(name(label), value.optional)
        if isinstance(value, Known) and plain(value.value) and (value.node or value.hint):
            return Known(value.value, name(self.named(key, value)))
        if isinstance(value, Many):
            parts = [self.given(f"{key}_{i}", part) for i, part in enumerate(value.items)]
            return Many(parts, value.kind)
        if isinstance(value, Fields):
            items = {k: self.given(str(k), part) for k, part in value.items.items()}
            return Fields(items, value.kind)
        if isinstance(value, Closure):
            env = {k: self.given(k, part) for k, part in value.env.items()}
            return Closure(value.node, env, value.home)
        if isinstance(value, Memory):
            self.memory = self.memory or value
            return Memory(self.scope.need("cache"))
        if isinstance(value, Part):
            if value.node is None:
                return Part(value.module, None)
            if own:
                return Part(value.module, name("self"))
            return Part(value.module, name(self.named(key, value)))
        return value

    def named(self, key: str, value: Value) -> str:
        label = self.scope.unique(key)
        self.outside[label] = value
        return label

    def args(self, tree: ast.FunctionDef) -> list[ast.expr]:
        """The arguments of a call, in the order of the definition."""
        codes = []
        lifts = getattr(self.scope, "lifts", {})
        shared = {label: key for key, label in self.scope.needs.items()}
        for arg in tree.args.args:
            if arg.arg in self.outside:
                codes.append(self.walk.code(self.outside[arg.arg]))
            elif arg.arg in lifts:
                codes.append(self.walk.code(lifts[arg.arg]))
            elif arg.arg in shared and shared[arg.arg] == "cache" and self.memory is not None:
                codes.append(self.memory.node)
            elif arg.arg in shared:
                codes.append(self.walk.scope.need(shared[arg.arg]))
        return codes


def finished(
    walk: Any, entry: Entry, found: Home, scope: Scope, first: str | None = None
) -> ast.FunctionDef:
    """The definition of a function, of what has been found of it."""
    scope.taken |= set(walk.stored)
    kind, value = walk.run(found.tree.body)
    told: list[Value] | None = None
    if kind == "return" and isinstance(value, Many):
        run_time = [part for part in value.items if not isinstance(part, Known)]
        if len(run_time) == 1:  # the others are known to whoever calls
            told = [
                Known(part.value, hint="magnitude") if isinstance(part, Known) else Code(name(""))
                for part in value.items
            ]
            value = run_time[0]
    if kind == "return":
        walk.lines.append(_returned(walk, value, found))
    body = swept(walk.lines)
    if len(body) > 1 and isinstance(body[-1], ast.Return) and isinstance(body[-2], ast.Assign):
        last: Any = body[-1]
        target: Any = body[-2].targets[0]
        same = isinstance(last.value, ast.Name) and isinstance(target, ast.Name)
        if same and last.value.id == target.id:
            last.value, last.end = body[-2].value, last.end or getattr(body[-2], "end", "")
            last.above = getattr(body[-2], "above", ())
            del body[-2]
    used = set().union(*(names(line) for line in body)) if body else set()
    kinds = {arg.arg: arg.annotation for arg in found.params}
    args = [ast.arg(first)] if first else []
    for label, value in entry.outside.items():
        if label in used:
            args.append(ast.arg(label, _annotation(kinds.get(label), value)))
    for label, known in getattr(scope, "lifts", {}).items():
        if label in used:
            args.append(ast.arg(label, kind_of(known.value)))
    for key, label in sorted(scope.needs.items(), key=lambda one: scope.book.rank(one[0])):
        if label in used:
            shared = scope.book.shared[key]
            args.append(ast.arg(label, ast.parse(shared.kind, mode="eval").body))
    tree: Any = ast.FunctionDef(
        found.tree.name,
        ast.arguments([], args, None, [], [], None, []),
        body or [ast.Pass()],
        [],
        name("Tensor") if told else found.tree.returns if known_words(found.tree.returns) else None,
    )
    scope.told = told
    tree.doc = None if first else shortened(ast.get_docstring(found.tree), plainly=True)
    settle(tree, scope)
    return tree


def shortened(doc: str | None, plainly: bool = False) -> str | None:
    """A docstring without its lists of arguments; `plainly` without what names other code too."""
    kept = []
    for one in (doc or "").split("\n"):
        if one.startswith(("Args:", "Shapes:", "Errors:", "Attributes:", "Example:", "Returns:")):
            break
        kept.append(one)
    parts = "\n".join(kept).strip().split("\n\n")
    if plainly:
        parts = [one for one in parts if one is parts[0] or "`" not in one]
    return "\n\n".join(parts).strip() or None


def settle(tree: ast.AST, scope: Scope) -> None:
    """Gives names that needed a number, since others might have had theirs, the plain ones."""
    for label, base in list(scope.numbered.items()):
        if base not in _bound(tree):
            for part in ast.walk(tree):
                if isinstance(part, ast.Name) and part.id == label:
                    part.id = base
                if isinstance(part, ast.arg) and part.arg == label:
                    part.arg = base
            for key, held in scope.needs.items():
                if held == label:
                    scope.needs[key] = base
            for held in (getattr(scope, "lifts", {}), getattr(scope, "outside", {})):
                if label in held:
                    held[base] = held.pop(label)


def _bound(tree: ast.AST) -> set[str]:
    args = {part.arg for part in ast.walk(tree) if isinstance(part, ast.arg)}
    return names(tree) | args


def _returned(walk: Any, value: Value, found: Home) -> ast.stmt:
    node: Any = ast.Return(walk.code(value))
    last = [line for line in found.tree.body if isinstance(line, ast.Return)]
    node.end, node.above = "", ()
    if last:
        node.end = found.comments.get(last[-1].end_lineno or 0, "")
        node.above = tuple(found.above.get(last[-1].lineno, ()))
    return node


def _annotation(node: ast.expr | None, value: Value) -> ast.expr | None:
    if isinstance(value, Known):
        return kind_of(value.value)
    if isinstance(value, Part):
        kind = "ModuleList" if isinstance(value.module, nn.ModuleList) else "Module"
        return dotted(f"nn.{kind}")
    if not known_words(node):
        return name("Tensor") if node is None else None
    if isinstance(value, Code) and not value.optional and isinstance(node, ast.BinOp):
        return node.left if isinstance(node.right, ast.Constant) else node
    return node


def kind_of(value: Any) -> ast.expr:
    if isinstance(value, tuple | list):
        return ast.Subscript(name("tuple"), ast.Tuple([kind_of(value[0]), ast.Constant(...)]))
    return name(type(value).__name__)


def known_words(node: ast.expr | None) -> bool:
    """Whether an annotation needs no more than torch's names."""
    return node is not None and names(node) <= WORDS


_ = method


def outcome(scope: Scope, call: ast.expr) -> Value:
    """What a call gives, of which some parts may be known."""
    if scope.told is None:
        return Code(call)
    return Many([Code(call) if isinstance(part, Code) else part for part in scope.told])
