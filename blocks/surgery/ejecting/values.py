"""What is known of a value while code is walked through: all of it, its parts, or its code."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

__all__: list[str] = []


class Value:
    """What an expression gives."""


@dataclass
class Known(Value):
    """A Python object; `node` is code that gives it, `hint` the name it goes by in a config."""

    value: Any
    node: ast.expr | None = None
    hint: str | None = None


@dataclass
class Code(Value):
    """What is found only when the ejected model runs."""

    node: ast.expr
    optional: bool = False  # whether it may be None


@dataclass
class Many(Value):
    """A tuple or list of which the parts are known one by one."""

    items: list[Value]
    kind: type[Any] = tuple


@dataclass
class Fields(Value):
    """A dict with known keys, or an object of a dataclass."""

    items: dict[Any, Value]
    kind: type[Any] = dict


@dataclass
class Closure(Value):
    """A function within a function, or a lambda."""

    node: ast.Lambda | ast.FunctionDef
    env: dict[str, Value]
    home: Any


@dataclass
class Bound(Value):
    """A method of a value."""

    owner: Value
    name: str


@dataclass
class Part(Value):
    """A module of the model, and the code that names it."""

    module: nn.Module
    node: ast.expr | None
    prefix: str = ""  # where its own parts are, in a class that it is written into


@dataclass
class Made(Value):
    """A module in the making: its class, and what it is made of."""

    kind: type[Any]
    given: dict[str, Value]


@dataclass
class Now(Value):
    """The step."""


@dataclass
class Memory(Value):
    """The state of a block, which becomes a dict; `start` is what it holds at first."""

    node: ast.expr
    start: Fields | None = None


@dataclass
class Sight(Value):
    """What a mask lets see, in the form that whoever reads it wants."""

    mask: Any


@dataclass
class Slot(Value):
    """What the constructor of a block is walked through with as `self`."""

    module: nn.Module
    prefix: str
    made: dict[str, Value] = field(default_factory=dict)
    path: str = ""  # where its tensors are in the library's model


def name(text: str) -> ast.expr:
    return ast.Name(text)


def dotted(text: str) -> ast.expr:
    first, *rest = text.split(".")
    node: ast.expr = ast.Name(first)
    for part in rest:
        node = ast.Attribute(node, part)
    return node


def calling(function: str | ast.expr, *args: ast.expr, **options: ast.expr) -> ast.Call:
    keywords = [ast.keyword(key, value) for key, value in options.items()]
    return ast.Call(dotted(function) if isinstance(function, str) else function, [*args], keywords)


def expression(text: str, **parts: ast.expr) -> ast.expr:
    """Code of an expression, in which some names stand for other code."""
    return substituted(ast.parse(text, mode="eval").body, parts)


class _Substitution(ast.NodeTransformer):
    def __init__(self, parts: Mapping[str, ast.expr]):
        self.parts = parts

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.parts.get(node.id, node)


def substituted(node: Any, parts: Mapping[str, ast.expr]) -> Any:
    """Code in which names stand for other code."""
    import copy

    return _Substitution(parts).visit(copy.deepcopy(node))


def names(node: ast.AST) -> set[str]:
    """Every name that code reads or writes."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def plain(value: Any) -> bool:
    """Whether a value is a number that a config may hold."""
    if isinstance(value, tuple | list):
        return bool(value) and all(map(plain, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass
class MadeList(Value):
    """As many equal modules in the making."""

    part: Made
    times: ast.expr
