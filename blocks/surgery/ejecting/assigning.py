"""Assignments: which variables stay, and which are but another word for their value."""

from __future__ import annotations

import ast
from typing import Any

from blocks.errors import SpecError
from blocks.surgery.ejecting.calls import Calls
from blocks.surgery.ejecting.machinery import Machinery
from blocks.surgery.ejecting.values import (
    Closure,
    Code,
    Fields,
    Known,
    Many,
    Memory,
    Part,
    Slot,
    Value,
    name,
    names,
    plain,
    substituted,
)

__all__: list[str] = []

WORDS = {"Tensor", "int", "float", "bool", "str", "tuple", "list", "dict", "None", "nn", "torch"}


def line(node: Any, end: str = "", above: tuple[str, ...] = ()) -> ast.stmt:
    """A statement that stays, with its comments."""
    node.end, node.above = end, above
    return node


class Assigning(Machinery, Calls):
    """Gives variables their values."""

    apart: bool
    stored: dict[str, int]
    asked: set[str]

    def emit(self, node: ast.stmt, source: ast.stmt | None = None) -> None:
        end, above = "", []
        if source is not None:
            last = source.end_lineno if not isinstance(source, ast.If | ast.For) else source.lineno
            end = self.home.comments.get(last, "") or self.home.comments.get(source.lineno, "")
            above = self.home.above.get(source.lineno, [])
        self.lines.append(line(node, end, tuple(above)))

    def unzipped(self, value: Value, count: int) -> Value:
        """A value of so many parts, each by its place."""
        if not isinstance(value, Code):
            return value
        node = value.node
        if not simple(node):
            label = self.scope.unique("parts")
            self.lines.append(line(ast.Assign([name(label)], node)))
            node = name(label)
        return Many([Code(ast.Subscript(node, ast.Constant(i))) for i in range(count)])

    def bind(self, target: ast.expr, value: Value) -> None:
        """Gives a target a value that needs no line."""
        if isinstance(target, ast.Name):
            self.env[target.id] = value
            return
        if isinstance(target, ast.Tuple | ast.List):
            items = self.listed(value)
            if isinstance(value, Code) and simple(value.node):
                count = range(len(target.elts))
                items = [Code(ast.Subscript(value.node, ast.Constant(i))) for i in count]
            if items is None:
                raise SpecError("unknown parts")
            for one, part in zip(target.elts, items, strict=True):
                self.bind(one, part)
            return
        raise SpecError(f"{ast.unparse(target)} is bound in a loop")

    def assign(self, target: ast.expr, value: Value, source: ast.stmt) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            self.assign_all(target.elts, value, source)
        elif isinstance(target, ast.Name):
            self.assign_name(target.id, value, source)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value)
            if isinstance(owner, Slot):
                self.scope.info.took(self, owner, target.attr, value, source)
            elif isinstance(owner, Memory):
                key = self.code(Known(target.attr))
                self.emit(ast.Assign([ast.Subscript(owner.node, key)], self.code(value)), source)
            elif isinstance(owner, Fields):
                if isinstance(value, Code) and not simple(value.node):
                    label = self.scope.unique(target.attr)
                    self.emit(ast.Assign([name(label)], value.node), source)
                    value = Code(name(label), value.optional)
                owner.items[target.attr] = value
            else:
                raise SpecError(f"{ast.unparse(target)} is assigned")
        elif isinstance(target, ast.Subscript):
            owner = self.value(target.value)
            if isinstance(owner, Fields):
                key = self.value(target.slice)
                owner.items[key.value] = value  # pyright: ignore[reportAttributeAccessIssue]
                return
            place: Any = ast.Subscript(self.code(owner), self.place(target.slice))
            self.emit(ast.Assign([place], self.code(value)), source)
        else:
            raise SpecError(f"{ast.unparse(target)} is assigned")

    def assign_all(self, targets: list[ast.expr], value: Value, source: ast.stmt) -> None:
        items = self.listed(value)
        if items is None:
            nodes = []
            for one in targets:
                inner = one.value if isinstance(one, ast.Starred) else one
                if isinstance(inner, ast.Attribute):
                    owner = self.value(inner.value)
                    if isinstance(owner, Fields):
                        label = name(self.scope.unique(inner.attr))
                        owner.items[inner.attr] = Code(label)
                        nodes.append(label)
                        continue
                    if isinstance(owner, Memory):
                        nodes.append(ast.Subscript(owner.node, ast.Constant(inner.attr)))
                        continue
                if isinstance(inner, ast.Tuple):
                    nodes.append(ast.Tuple([self.held(part) for part in inner.elts]))
                    continue
                if not isinstance(inner, ast.Name):
                    raise SpecError(f"{ast.unparse(one)} is unpacked into")
                fresh = name(self.fresh(inner.id))
                self.env[inner.id] = Code(fresh)
                nodes.append(ast.Starred(fresh) if isinstance(one, ast.Starred) else fresh)
            self.emit(ast.Assign([ast.Tuple(nodes)], self.code(value)), source)
            return
        starred = [i for i, one in enumerate(targets) if isinstance(one, ast.Starred)]
        if starred:
            at, more = starred[0], len(items) - len(targets) + 1
            items = [*items[:at], Many(items[at : at + more]), *items[at + more :]]
            targets = [one.value if isinstance(one, ast.Starred) else one for one in targets]
        kept = []
        for one, part in zip(targets, items, strict=True):
            simple = isinstance(one, ast.Name) and self.needs_line(one.id, part)
            if simple:
                kept.append((one.id, part))  # pyright: ignore[reportAttributeAccessIssue]
            else:
                self.assign(one, part, source)
        codes = [(key, self.code(part), part) for key, part in kept]
        early = set()
        for i, (_key, _code, _) in enumerate(codes):
            early |= {key for key, _, _ in codes[:i]} & names(codes[i][1])
        if early and not self.apart:
            target: Any = ast.Tuple([name(key) for key, _, _ in codes])
            self.emit(ast.Assign([target], ast.Tuple([code for _, code, _ in codes])), source)
            for key, _, part in codes:
                self.env[key] = Code(name(key), isinstance(part, Code) and part.optional)
            return
        for key, code, part in codes:
            self.emit_name(key, code, part, source)

    def held(self, target: Any) -> ast.expr:
        """Where something is put in a memory."""
        owner = self.value(target.value) if isinstance(target, ast.Attribute) else None
        if not isinstance(owner, Memory):
            raise SpecError(f"{ast.unparse(target)} is unpacked into")
        return ast.Subscript(owner.node, ast.Constant(target.attr))

    def needs_line(self, key: str, value: Value) -> bool:
        """Whether a variable stays one, rather than another word for its value."""
        if isinstance(value, Known):
            if value.node is None or isinstance(
                value.node, ast.Name | ast.Attribute | ast.Constant
            ):
                return False
            return plain(value.value)
        if not isinstance(value, Code):
            return False
        node = value.node
        if isinstance(node, ast.Name):
            again = self.stored.get(node.id, 0) + (node.id in self.asked)
            return node.id != key and again > 1 and not self.apart
        return not simple(node)

    def assign_name(self, key: str, value: Value, source: ast.stmt) -> None:
        if isinstance(value, Many) and self.read_again(key):
            items = []
            for part in value.items:
                if isinstance(part, Code) and not simple(part.node):
                    label = self.scope.unique(f"{key}_1")
                    self.emit(ast.Assign([name(label)], part.node), source)
                    part = Code(name(label), part.optional)
                items.append(part)
            value = Many(items, value.kind)
        if self.needs_line(key, value):
            self.emit_name(key, self.code(value), value, source)
        else:
            self.env[key] = value

    def read_again(self, key: str) -> bool:
        """Whether a variable is read in more than one place."""
        loads = (
            isinstance(part, ast.Name) and part.id == key and isinstance(part.ctx, ast.Load)
            for part in ast.walk(self.home.tree)
        )
        return sum(loads) > 1

    def emit_name(self, key: str, code: ast.expr, value: Value, source: ast.stmt) -> None:
        label = self.fresh(key)
        self.emit(ast.Assign([name(label)], code), source)
        if isinstance(value, Known):
            self.env[key] = Known(value.value, name(label))
        else:
            self.env[key] = Code(name(label), isinstance(value, Code) and value.optional)

    def fresh(self, key: str) -> str:
        if not self.apart:
            return key
        return self.scope.unique(key)


def simple(node: ast.expr) -> bool:
    """Whether code may stand in several places."""
    if isinstance(node, ast.Attribute):
        return simple(node.value)
    return isinstance(node, ast.Name | ast.Constant)


def stored_names(tree: ast.AST) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in ast.walk(tree):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found[part.id] = found.get(part.id, 0) + 1
    return found


def stored_in(body: list[ast.stmt]) -> list[str]:
    return [key for statement in body for key in stored_names(statement)]


def nodes_of(value: Value) -> list[ast.expr]:
    if isinstance(value, Code):
        return [value.node]
    if isinstance(value, Known):
        return [] if value.node is None else [value.node]
    if isinstance(value, Many):
        return [node for part in value.items for node in nodes_of(part)]
    if isinstance(value, Fields):
        return [node for part in value.items.values() for node in nodes_of(part)]
    if isinstance(value, Part):
        return [] if value.node is None else [value.node]
    return []


def remade(value: Value, marks: dict[str, ast.expr]) -> Value:
    if isinstance(value, Code):
        return Code(substituted(value.node, marks), value.optional)
    if isinstance(value, Known) and value.node is not None:
        return Known(value.value, substituted(value.node, marks), value.hint)
    if isinstance(value, Many):
        return Many([remade(part, marks) for part in value.items], value.kind)
    if isinstance(value, Fields):
        return Fields({key: remade(part, marks) for key, part in value.items.items()}, value.kind)
    if isinstance(value, Closure):
        return Closure(value.node, {k: remade(v, marks) for k, v in value.env.items()}, value.home)
    return value
