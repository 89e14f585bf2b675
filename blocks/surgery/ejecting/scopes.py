"""Where code is written: into a class's constructor, one of its methods, or a function."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import Any

import torch
from torch import nn

from blocks.errors import SpecError
from blocks.surgery.ejecting.code import name, numbered
from blocks.surgery.ejecting.values import Bound, Code, Known, Part, Value, plain

__all__: list[str] = []


class Scope:
    """What code in one place may name.

    Attributes:
        needs: what all layers share that is read here, with its name here.
        lifts: numbers that whoever calls gives, by their names here.
        outside: what an argument is to the caller.
        told: what a call gives, where the caller knows some parts of it.
        numbered: names that needed a number, with those that were taken.
    """

    def __init__(self, book: Any, info: Any = None):
        self.book, self.info = book, info
        self.needs: dict[Hashable, str] = {}
        self.lifts: dict[str, Known] = {}
        self.outside: dict[str, Value] = {}
        self.told: list[Value] | None = None
        self.taken: set[str] = set()
        self.numbered: dict[str, str] = {}

    def need(self, key: Hashable) -> ast.expr:
        """The local name of something that all layers share."""
        if key not in self.needs:
            self.needs[key] = self.unique(self.book.shared[key].base)
        return name(self.needs[key])

    def unique(self, base: str) -> str:
        label = next(one for one in numbered(base) if one not in self.taken)
        if label != base:
            self.numbered[label] = base
        self.taken.add(label)
        return label

    def lift(self, hint: str, value: Any) -> ast.expr:
        """Code for a number that comes from further out."""
        raise TypeError("a constructor, method or function knows")

    def attribute_of(self, part: Part, attr: str) -> Value:
        """What a module's attribute is, seen from here."""
        module, node = part.module, part.node
        here = {*vars(module), *module._parameters, *module._buffers, *module._modules}
        there = getattr(type(module), attr, None)
        if isinstance(there, property):
            raise SpecError(f"{type(module).__name__}.{attr} is a property")
        if attr not in here and callable(there):
            return Bound(part, attr)
        found = getattr(module, attr)
        if isinstance(found, torch.Tensor) and node is not None:
            return Code(ast.Attribute(node, attr))
        if isinstance(found, torch.Tensor | nn.Module):
            raise SpecError(f"{type(module).__name__}.{attr} is out of reach there")
        return Known(found, hint=attr if plain(found) else None)


class FreeScope(Scope):
    """A function's."""

    def lift(self, hint: str, value: Any) -> ast.expr:
        for label, held in self.lifts.items():
            if label.startswith(hint) and held.value == value:
                return name(label)
        label = self.unique(hint)
        self.lifts[label] = Known(value, hint=hint)
        return name(label)


class InitScope(Scope):
    """A constructor's."""

    def lift(self, hint: str, value: Any) -> ast.expr:
        return self.info.parameter(hint, value)


class BodyScope(Scope):
    """A method's."""

    def lift(self, hint: str, value: Any) -> ast.expr:
        return self.info.kept_number(hint, value)

    def attribute_of(self, part: Part, attr: str) -> Value:
        found = self.info.attribute(part, attr)
        return super().attribute_of(part, attr) if found is None else found
