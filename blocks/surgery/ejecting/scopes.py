"""Where code is written: into a class's constructor, one of its methods, or a function."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import Any

import torch
from torch import nn

from blocks.errors import SpecError
from blocks.surgery.ejecting.values import (
    Bound,
    Code,
    Known,
    Many,
    Part,
    Value,
    name,
    plain,
)

__all__: list[str] = []

WORDS = {"Tensor", "int", "float", "bool", "str", "tuple", "list", "dict", "torch", "nn"}


class Scope:
    """What code in one place may name."""

    info: Any = None
    outside: dict[str, Value]
    told: list[Value] | None = None

    def __init__(self, book: Any):
        self.book = book
        self.needs: dict[Hashable, str] = {}
        self.taken: set[str] = set()
        self.numbered: dict[str, str] = {}

    def need(self, key: Hashable) -> ast.expr:
        """The local name of something that all layers share."""
        if key not in self.needs:
            self.needs[key] = self.unique(self.book.shared[key].base)
        return name(self.needs[key])

    def unique(self, key: str) -> str:
        label, i = key, 1
        while label in self.taken:
            i += 1
            label = f"{key}_{i}"
        if i > 1:
            self.numbered[label] = key
        self.taken.add(label)
        return label

    def lift(self, hint: str, value: Any) -> ast.expr:
        """Code for a number that comes from further out."""
        raise TypeError("a constructor, method or function knows")

    def attribute_of(self, part: Part, attr: str) -> Value:
        """What a module's attribute is, seen from here."""
        module = part.module
        if attr not in vars(module) and not _held(module, attr):
            there = getattr(type(module), attr, None)
            if callable(there):
                return Bound(part, attr)
            if isinstance(there, property):
                raise SpecError(f"{type(module).__name__}.{attr} is a property")
        found = getattr(module, attr)
        if isinstance(found, torch.Tensor | nn.Module) and part.node is None:
            raise SpecError(f"{type(module).__name__}.{attr} is out of reach there")
        node: Any = part.node
        if isinstance(found, torch.Tensor):
            return Code(ast.Attribute(node, attr))
        if isinstance(found, nn.ModuleList):
            base = ast.Attribute(node, attr)
            return Many(
                [Part(one, ast.Subscript(base, ast.Constant(i))) for i, one in enumerate(found)]
            )
        if isinstance(found, nn.Module):
            return Part(found, ast.Attribute(node, attr))
        return Known(found, hint=attr if plain(found) else None)


class FreeScope(Scope):
    """A function's."""

    def __init__(self, book: Any):
        super().__init__(book)
        self.lifts: dict[str, Known] = {}

    def lift(self, hint: str, value: Any) -> ast.expr:
        return name(self.lifted(hint, Known(value, hint=hint)))

    def lifted(self, hint: str, known: Known) -> str:
        for label, held in self.lifts.items():
            if label.startswith(hint) and held.value == known.value:
                return label
        label = self.unique(hint)
        self.lifts[label] = known
        return label


def _held(module: nn.Module, attr: str) -> bool:
    return attr in module._parameters or attr in module._buffers or attr in module._modules


class InitScope(Scope):
    """A constructor's."""

    def __init__(self, info: Any):
        super().__init__(info.book)
        self.info = info

    def lift(self, hint: str, value: Any) -> ast.expr:
        return self.info.parameter(hint, value)


class BodyScope(Scope):
    """A method's."""

    def __init__(self, info: Any):
        super().__init__(info.book)
        self.info = info

    def lift(self, hint: str, value: Any) -> ast.expr:
        return self.info.kept_number(hint, value)

    def attribute_of(self, part: Part, attr: str) -> Value:
        found = self.info.attribute(part, attr)
        return super().attribute_of(part, attr) if found is None else found
