"""What is known written as code, and what the attributes of known things are."""

from __future__ import annotations

import ast
import builtins
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.surgery.ejecting.values import (
    Bound,
    Closure,
    Code,
    Fields,
    Known,
    Many,
    Memory,
    Now,
    Part,
    Sight,
    Slot,
    Value,
    calling,
    dotted,
    name,
    plain,
)

__all__: list[str] = []

MODULES = {"F": F, "math": math, "torch": torch, "nn": nn}


def canonical(value: Any) -> ast.expr | None:
    """Code that names a thing of torch's or Python's."""
    if isinstance(value, torch.dtype | torch.memory_format):
        return dotted(str(value))
    for short, module in MODULES.items():
        if value is module:
            return name(short)
    label = getattr(value, "__name__", None)
    if label and getattr(torch.linalg, label.removeprefix("linalg_"), None) is value:
        return dotted(f"torch.linalg.{label.removeprefix('linalg_')}")
    for short in ("F", "torch", "nn", "math"):
        if label and getattr(MODULES[short], label, None) is value:
            return dotted(f"{short}.{label}")
    if value is Tensor:
        return name("Tensor")
    return name(label) if label and vars(builtins).get(label) is value else None


class Literals:
    """Gives code for values, and values for names and attributes."""

    scope: Any
    env: dict[str, Value]
    home: Any
    lines: list[ast.stmt]

    def value(self, node: ast.expr) -> Value:
        method = getattr(self, f"on_{type(node).__name__}", None)
        if method is None:
            raise SpecError(f"{ast.unparse(node)} is of no kind that can be rewritten")
        return method(node)

    def code(self, value: Value) -> ast.expr:
        """Code that gives a value."""
        if isinstance(value, Code):
            return value.node
        if isinstance(value, Known):
            return self.literal(value)
        if isinstance(value, Many):
            parts = [self.code(part) for part in value.items]
            return ast.List(parts) if value.kind is list else ast.Tuple(parts)
        if isinstance(value, Fields) and value.kind is dict:
            keys = [self.code(Known(key)) for key in value.items]
            return ast.Dict([*keys], [self.code(part) for part in value.items.values()])
        if isinstance(value, Part) and value.node is not None:
            return value.node
        if isinstance(value, Memory):
            return value.node
        if isinstance(value, Sight):
            return self.scope.book.sight(self.scope, value.mask, table=False)
        if isinstance(value, Closure):
            return self.function_code(value)
        raise SpecError(f"a {type(value).__name__} stands where code is wanted")

    def function_code(self, value: Closure) -> ast.expr:
        if not isinstance(value.node, ast.Lambda):
            raise SpecError(f"the function {value.node.name} within a function")
        inner = {arg.arg: Code(name(arg.arg)) for arg in value.node.args.args}
        walk = self.beside({**value.env, **inner}, value.home)
        return ast.Lambda(value.node.args, walk.code(walk.value(value.node.body)))

    def beside(self, env: dict[str, Value], home: Any) -> Any:
        """A walk through code within this one."""
        raise TypeError("a Walk knows")

    def literal(self, known: Known) -> ast.expr:
        if known.node is not None:
            return known.node
        value = known.value
        if known.hint and plain(value):
            return self.scope.lift(known.hint, value)
        if value is None or value is ... or isinstance(value, bool | int | str):
            return ast.Constant(value)
        if isinstance(value, float):
            if math.isinf(value):
                inf = dotted("math.inf")
                return inf if value > 0 else ast.UnaryOp(ast.USub(), inf)
            if value < 0:
                return ast.UnaryOp(ast.USub(), ast.Constant(-value))
            return ast.Constant(value)
        if isinstance(value, tuple | list):
            parts = [self.literal(Known(part)) for part in value]
            return ast.Tuple(parts) if isinstance(value, tuple) else ast.List(parts)
        found = canonical(value)
        if found is None:
            raise SpecError(f"{value!r} can't be written as code")
        return found

    def truth(self, value: Value) -> bool | None:
        """Whether a value counts as true; None where that is found at run time."""
        if isinstance(value, Known):
            return bool(value.value)
        if isinstance(value, Many | Fields):
            return value.items != [] and value.items != {}
        return None if isinstance(value, Code) else True

    def on_Constant(self, node: ast.Constant) -> Value:
        return Known(node.value)

    def on_Name(self, node: ast.Name) -> Value:
        if node.id in self.env:
            return self.env[node.id]
        if node.id in self.home.names:
            return Known(self.home.names[node.id])
        if node.id in vars(builtins):
            return Known(vars(builtins)[node.id])
        raise SpecError(f"the name {node.id} is not known in {self.home.tree.name}")

    def on_Attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.value(node.value), node.attr)

    def attribute(self, owner: Value, attr: str) -> Value:
        if isinstance(owner, Code):
            if attr in ("is_meta", "requires_grad"):
                return Known(False)
            return Code(ast.Attribute(owner.node, attr))
        if isinstance(owner, Fields) and owner.kind is not dict and attr in owner.items:
            return owner.items[attr]
        if isinstance(owner, Known):
            found = getattr(owner.value, attr)
            if callable(found) and not isinstance(owner.value, type(math)):
                return Bound(owner, attr) if not isinstance(owner.value, type) else Known(found)
            inside = type(owner.value).__module__.startswith("blocks.")
            return Known(found, hint=attr if inside and plain(found) else None)
        if isinstance(owner, Part):
            return self.part_attribute(owner, attr)
        if isinstance(owner, Slot):
            return self.slot_attribute(owner, attr)
        if isinstance(owner, Now) and attr == "once":
            return Bound(owner, attr)
        if isinstance(owner, Now):
            return self.scope.book.fact(self.scope, attr)
        if isinstance(owner, Memory):
            key = Known(attr)
            if owner.start is not None:
                first = self.code(owner.start.items[attr])
                return Code(calling(ast.Attribute(owner.node, "get"), self.code(key), first))
            return Code(calling(ast.Attribute(owner.node, "get"), self.code(key)), optional=True)
        return Bound(owner, attr)

    def part_attribute(self, owner: Part, attr: str) -> Value:
        return self.scope.attribute_of(owner, attr)

    def slot_attribute(self, owner: Slot, attr: str) -> Value:
        if attr in owner.made:
            return owner.made[attr]
        found = getattr(owner.module, attr)
        if isinstance(found, nn.ModuleList):
            return Many([Part(one, None) for one in found])
        if isinstance(found, nn.Module):
            return Part(found, ast.Attribute(name("self"), self.scope.info.label_of(owner, attr)))
        return Bound(owner, attr) if callable(found) else Known(found)

    def same(self, left: Value, right: Value) -> bool | None:
        """Whether two values are one object; None where that is found at run time."""
        other = left if isinstance(right, Known) and right.value is None else None
        if other is None:
            other = right if isinstance(left, Known) and left.value is None else None
        if other is None:
            return False if isinstance(left, Part) or isinstance(right, Part) else None
        if isinstance(other, Known):
            return other.value is None
        if isinstance(other, Sight):
            return False
        return None if isinstance(other, Code) and other.optional else False
