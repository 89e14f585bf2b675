"""Functions and methods: what their arguments are outside and inside, and their definitions."""

from __future__ import annotations

import ast
from typing import Any

from torch import nn

from blocks.surgery.ejecting.code import defining, dotted, line, name, names, parsed
from blocks.surgery.ejecting.scopes import Scope
from blocks.surgery.ejecting.source import Home
from blocks.surgery.ejecting.tidy import straight, swept
from blocks.surgery.ejecting.values import Code, Fields, Known, Many, Memory, Part, Value, plain

__all__: list[str] = []

WORDS = {"Tensor", "int", "float", "bool", "str", "tuple", "list", "dict", "torch", "nn"}
LISTS = ("Args:", "Shapes:", "Errors:", "Attributes:", "Example:", "Returns:")


class Entry:
    """The arguments of a function or method: what they are outside, and by which name inside."""

    def __init__(self, walk: Any, scope: Scope, memory: Memory | None = None):
        self.walk, self.scope, self.memory = walk, scope, memory

    def given(self, key: str, value: Value) -> Value:
        """What an argument is inside."""
        match value:
            case Code():
                return Code(self.named(key, value), value.optional)
            case Known() if plain(value.value) and value.named:
                return Known(value.value, self.named(key, value))
            case Part() if value.node is not None:
                return Part(value.module, self.named(key, value))
            case Many():
                parts = [self.given(f"{key}_{i}", part) for i, part in enumerate(value.items)]
                return Many(parts, value.kind)
            case Fields():
                items = {k: self.given(str(k), part) for k, part in value.items.items()}
                return Fields(items, value.kind)
            case Memory():
                self.memory = self.memory or value
                return Memory(self.scope.need("cache"))
        return value

    def named(self, key: str, value: Value) -> ast.expr:
        label = self.scope.unique(key)
        self.scope.outside[label] = value
        return name(label)

    def args(self, tree: ast.FunctionDef) -> list[ast.expr]:
        """The arguments of a call, in the order of the definition."""
        given = {**self.scope.lifts, **self.scope.outside}
        shared = {label: key for key, label in self.scope.needs.items()}
        codes = []
        for label in (arg.arg for arg in tree.args.args):
            if label in given:
                codes.append(self.walk.code(given[label]))
            elif label in shared and shared[label] == "cache" and self.memory is not None:
                codes.append(self.memory.node)
            elif label in shared:
                codes.append(self.walk.scope.need(shared[label]))
        return codes


def finished(walk: Any, found: Home, first: str | None = None) -> Any:
    """The definition of a function, of what has been found of it."""
    scope: Scope = walk.scope
    scope.taken |= set(walk.stored)
    value = walk.run(found.tree.body)
    if value is not None:
        value = alone(scope, value)
        walk.lines.append(returned(walk, value, found))
    body = straight(swept(walk.lines))
    used = names(*body)
    kinds = {arg.arg: arg.annotation for arg in found.params}
    args = {label: _annotation(kinds.get(label), one) for label, one in scope.outside.items()}
    args |= {label: kind_of(one) for label, one in scope.lifts.items()}
    for key in sorted(scope.needs, key=scope.book.rank):
        args[scope.needs[key]] = parsed(scope.book.shared[key].kind)
    owner = [ast.arg(first)] if first else []
    kept = [ast.arg(label, kind) for label, kind in args.items() if label in used]
    gives = name("Tensor") if scope.told else found.tree.returns
    tree = defining(
        found.tree.name,
        [*owner, *kept],
        body or [line(ast.Pass())],
        gives if known_words(gives) else None,
    )
    tree.doc = None if first else shortened(ast.get_docstring(found.tree), plainly=True)
    settle(tree, scope)
    return tree


def alone(scope: Scope, value: Value) -> Value:
    """What is returned: of several parts only the one that the caller doesn't know already."""
    parts = value.items if isinstance(value, Many) else []
    run_time = [part for part in parts if not isinstance(part, Known)]
    if len(run_time) != 1:
        return value
    scope.told = [
        Known(part.value, hint="magnitude") if isinstance(part, Known) else Code(name(""))
        for part in parts
    ]
    return run_time[0]


def shortened(doc: str | None, plainly: bool = False) -> str | None:
    """A docstring without its lists of arguments; `plainly` without what names other code too."""
    rows = (doc or "").split("\n")
    end = next((i for i, row in enumerate(rows) if row.startswith(LISTS)), len(rows))
    first, *rest = "\n".join(rows[:end]).strip().split("\n\n")
    kept = [part for part in rest if not (plainly and "`" in part)]
    return "\n\n".join([first, *kept]).strip() or None


def settle(tree: ast.AST, scope: Scope) -> None:
    """Gives names that needed a number, since others might have had theirs, the plain ones."""
    for label, base in scope.numbered.items():
        words = {part.arg for part in ast.walk(tree) if isinstance(part, ast.arg)}
        if base in names(tree) | words:
            continue
        for part in ast.walk(tree):
            if isinstance(part, ast.Name) and part.id == label:
                part.id = base
            if isinstance(part, ast.arg) and part.arg == label:
                part.arg = base
        scope.needs |= {key: base for key, held in scope.needs.items() if held == label}
        if label in scope.lifts:
            scope.lifts[base] = scope.lifts.pop(label)
        if label in scope.outside:
            scope.outside[base] = scope.outside.pop(label)


def returned(walk: Any, value: Value, found: Home) -> ast.stmt:
    node = ast.Return(walk.code(value))
    last = [one for one in found.tree.body if isinstance(one, ast.Return)]
    if not last:
        return line(node)
    end = found.comments.get(last[-1].end_lineno or 0, "")
    return line(node, end, tuple(found.above.get(last[-1].lineno, ())))


def _annotation(node: ast.expr | None, value: Value) -> ast.expr | None:
    if isinstance(value, Known):
        return kind_of(value)
    if isinstance(value, Part):
        kind = "ModuleList" if isinstance(value.module, nn.ModuleList) else "Module"
        return dotted(f"nn.{kind}")
    if not known_words(node):
        return name("Tensor") if node is None else None
    given = isinstance(value, Code) and not value.optional
    if given and isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant):
        return node.left
    return node


def kind_of(known: Known) -> ast.expr:
    """The type of a number, or of several in a tuple."""
    value = known.value
    if isinstance(value, tuple | list):
        inner = ast.Tuple([kind_of(Known(value[0])), ast.Constant(...)])
        return ast.Subscript(name("tuple"), inner)
    return name(type(value).__name__)


def known_words(node: ast.expr | None) -> bool:
    """Whether an annotation needs no more than torch's names."""
    return node is not None and names(node) <= WORDS


def outcome(scope: Scope, call: ast.expr) -> Value:
    """What a call gives, of which some parts may be known."""
    if scope.told is None:
        return Code(call)
    return Many([Code(call) if isinstance(part, Code) else part for part in scope.told])
