"""What is known written as code, and what the attributes of known things are."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from blocks.errors import SpecError
from blocks.surgery.ejecting.code import calling, dotted, name
from blocks.surgery.ejecting.values import (
    Bound,
    Code,
    Fields,
    Known,
    Many,
    Memory,
    Now,
    Part,
    Slot,
    Value,
    plain,
)

__all__: list[str] = []

MODULES = {"F": F, "torch": torch, "nn": nn, "math": math}


def canonical(value: Any) -> ast.expr | None:
    """Code that names a thing of torch's or Python's."""
    if isinstance(value, torch.dtype | torch.memory_format):
        return dotted(str(value))
    label = getattr(value, "__name__", None)
    for short, module in MODULES.items():
        if label and getattr(module, label, None) is value:
            return dotted(f"{short}.{label}")
    return name(label) if label and vars(builtins).get(label) is value else None


class Literals:
    """Gives code for values, and values for names and attributes."""

    scope: Any
    env: dict[str, Value]
    home: Any
    lines: list[Any]

    # What the classes of a walk that stand above this one give one another.
    beside: Callable[..., Any]
    bound: Callable[..., dict[str, Value]]
    emit: Callable[..., None]
    listed: Callable[..., list[Value] | None]
    replaced: Callable[..., Value | None]
    repeated: Callable[..., Value | None]
    called: Callable[..., Value]
    function: Callable[..., Value]
    joined: Callable[..., Value]
    made: Callable[..., Value]
    on_known: Callable[..., Value]
    on_part: Callable[..., Value]
    on_slot: Callable[..., Value]
    on_step: Callable[..., Value]
    run_time: Callable[..., Value]
    spliced: Callable[..., Value]
    unzipped: Callable[..., Value]

    def value(self, node: ast.expr) -> Value:
        method = getattr(self, f"on_{type(node).__name__}", None)
        if method is None:
            raise SpecError(f"{ast.unparse(node)} is of no kind that can be rewritten")
        return method(node)

    def code(self, value: Value) -> ast.expr:
        """Code that gives a value."""
        match value:
            case Code():
                return value.node
            case Known():
                return self.literal(value)
            case Many():
                parts = [self.code(part) for part in value.items]
                return ast.List(parts) if value.kind is list else ast.Tuple(parts)
            case Part() if value.node is not None:
                return value.node
        raise SpecError(f"a {type(value).__name__} stands where code is wanted")

    def literal(self, known: Known) -> ast.expr:
        value = known.value
        if known.node is not None:
            return known.node
        if known.hint and plain(value):
            return self.scope.lift(known.hint, value)
        if isinstance(value, float) and value < 0:
            return ast.UnaryOp(ast.USub(), self.literal(Known(-value)))
        if isinstance(value, float) and math.isinf(value):
            return dotted("math.inf")
        if value is None or value is ... or isinstance(value, bool | int | float | str):
            return ast.Constant(value)
        if isinstance(value, tuple | list):
            return self.code(Many([Known(part) for part in value], type(value)))
        found = canonical(value)
        if found is None:
            raise SpecError(f"{value!r} can't be written as code")
        return found

    def truth(self, value: Value) -> bool | None:
        """Whether a value counts as true; None where that is found at run time."""
        if isinstance(value, Known):
            return bool(value.value)
        if isinstance(value, Many | Fields):
            return bool(value.items)
        return None if isinstance(value, Code) else True

    def on_Constant(self, node: ast.Constant) -> Value:
        return Known(node.value)

    def on_Name(self, node: ast.Name) -> Value:
        if node.id in self.env:
            return self.env[node.id]
        for known in (self.home.names, vars(builtins)):
            if node.id in known:
                return Known(known[node.id])
        raise SpecError(f"the name {node.id} is not known in {self.home.tree.name}")

    def on_Attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.value(node.value), node.attr)

    def attribute(self, owner: Value, attr: str) -> Value:
        match owner:
            case Code():
                if attr in ("is_meta", "requires_grad"):
                    return Known(False)
                return Code(ast.Attribute(owner.node, attr))
            case Fields() if owner.kind is not dict and attr in owner.items:
                return owner.items[attr]
            case Known():
                found = getattr(owner.value, attr)
                if callable(found) and not isinstance(owner.value, type | type(math)):
                    return Bound(owner, attr)
                inside = type(owner.value).__module__.startswith("blocks.")
                return Known(found, hint=attr if inside and plain(found) else None)
            case Part():
                return self.scope.attribute_of(owner, attr)
            case Slot():
                return self.slot_attribute(owner, attr)
            case Now() if attr != "once":
                return self.scope.book.fact(self.scope, attr)
            case Memory():
                get = ast.Attribute(owner.node, "get")
                return Code(calling(get, ast.Constant(attr)), optional=True)
        return Bound(owner, attr)

    def slot_attribute(self, owner: Slot, attr: str) -> Value:
        if attr in owner.made:
            return owner.made[attr]
        found = getattr(owner.module, attr)
        if isinstance(found, nn.ModuleList):
            return Many([Part(one, None) for one in found])
        if isinstance(found, nn.Module):
            return Part(found, dotted(f"self.{self.scope.info.label_of(owner, attr)}"))
        return Bound(owner, attr) if callable(found) else Known(found)

    def same(self, left: Value, right: Value) -> bool | None:
        """Whether two values are one object; None where that is found at run time."""
        if not (left.is_none or right.is_none):
            return False if isinstance(left, Part) or isinstance(right, Part) else None
        other = left if right.is_none else right
        return None if other.optional else other.is_none
