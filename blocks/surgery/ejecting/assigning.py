"""Assignments: which variables stay, and which are but another word for their value."""

from __future__ import annotations

import ast
from collections import Counter

from blocks.errors import SpecError
from blocks.surgery.ejecting.calls import Calls
from blocks.surgery.ejecting.code import line, name, names, setting, simple
from blocks.surgery.ejecting.machinery import Machinery
from blocks.surgery.ejecting.values import Code, Fields, Known, Many, Memory, Slot, Value, plain

__all__: list[str] = []


class Assigning(Machinery, Calls):
    """Gives variables their values."""

    apart: bool
    stored: Counter[str]
    asked: set[str]

    def emit(self, node: ast.stmt, source: ast.stmt | None = None) -> None:
        end, above = "", []
        if source is not None:
            last = source.lineno if isinstance(source, ast.If | ast.For) else source.end_lineno
            end = self.home.comments.get(last, "") or self.home.comments.get(source.lineno, "")
            above = self.home.above.get(source.lineno, [])
        self.lines.append(line(node, end, tuple(above)))

    def lined(self, value: Value, base: str, source: ast.stmt | None = None) -> Value:
        """A value that may be read often: what is more than a name gets a line, and so a name."""
        if not isinstance(value, Code) or simple(value.node):
            return value
        label = name(self.scope.unique(base))
        self.emit(setting(label, value.node), source)
        return Code(label, value.optional)

    def unzipped(self, value: Value, count: int) -> Value:
        """A value of so many parts, each by its place."""
        value = self.lined(value, "parts")
        if not isinstance(value, Code):
            return value
        return Many([Code(ast.Subscript(value.node, ast.Constant(i))) for i in range(count)])

    def bind(self, target: ast.expr, value: Value) -> None:
        """Gives a target a value that needs no line."""
        if isinstance(target, ast.Name):
            self.env[target.id] = value
            return
        if not isinstance(target, ast.Tuple | ast.List):
            raise SpecError(f"{ast.unparse(target)} is bound in a loop")
        items = self.listed(self.unzipped(value, len(target.elts)))
        for one, part in zip(target.elts, items or (), strict=True):
            self.bind(one, part)

    def assign(self, target: ast.expr, value: Value, source: ast.stmt) -> None:
        match target:
            case ast.Name():
                return self.assign_name(target.id, value, source)
            case ast.Tuple() | ast.List():
                return self.assign_all(target.elts, value, source)
            case ast.Attribute(attr=attr):
                owner = self.value(target.value)
                if isinstance(owner, Slot):
                    return self.scope.info.took(self, owner, attr, value, source)
                if isinstance(owner, Memory):
                    place = ast.Subscript(owner.node, ast.Constant(attr))
                    return self.emit(setting(place, self.code(value)), source)
                if isinstance(owner, Fields):
                    owner.items[attr] = self.lined(value, attr, source)
                    return None
            case ast.Subscript():
                owner, key = self.value(target.value), self.value(target.slice)
                if isinstance(owner, Fields) and isinstance(key, Known):
                    owner.items[key.value] = value
                    return None
        raise SpecError(f"{ast.unparse(target)} is assigned")

    def assign_all(self, targets: list[ast.expr], value: Value, source: ast.stmt) -> None:
        items = self.listed(value)
        if items is None:
            nodes = [self.unpacked(one) for one in targets]
            self.emit(setting(ast.Tuple(nodes), self.code(value)), source)
            return
        if len(items) != len(targets):
            raise SpecError("what is unpacked is of another length")
        kept = []
        for one, part in zip(targets, items, strict=True):
            if isinstance(one, ast.Name) and self.needs_line(one.id, part):
                kept.append((one.id, part))
            else:
                self.assign(one, part, source)
        codes = [self.code(part) for _, part in kept]
        keys = [key for key, _ in kept]
        crossed = any(names(code) & {*keys[:i]} for i, code in enumerate(codes))
        if crossed and not self.apart:
            self.emit(setting(ast.Tuple([*map(name, keys)]), ast.Tuple(codes)), source)
            self.env |= {key: Code(name(key), part.optional) for key, part in kept}
            return
        for (key, part), code in zip(kept, codes, strict=True):
            self.emit_name(key, code, part, source)

    def unpacked(self, target: ast.expr) -> ast.expr:
        """Where a part goes of what is found at run time."""
        match target:
            case ast.Starred():
                return ast.Starred(self.unpacked(target.value))
            case ast.Name():
                label = name(self.fresh(target.id))
                self.env[target.id] = Code(label)
                return label
            case ast.Attribute():
                owner = self.value(target.value)
                if isinstance(owner, Fields):
                    label = name(self.scope.unique(target.attr))
                    owner.items[target.attr] = Code(label)
                    return label
        raise SpecError(f"{ast.unparse(target)} is unpacked into")

    def needs_line(self, key: str, value: Value) -> bool:
        """Whether a variable stays one, rather than another word for its value."""
        if isinstance(value, Known):
            short = isinstance(value.node, ast.Name | ast.Attribute | ast.Constant | None)
            return not short and plain(value.value)
        if not isinstance(value, Code):
            return False
        if isinstance(value.node, ast.Name):
            label = value.node.id
            again = self.stored[label] + (label in self.asked) > 1
            return again and label != key and not self.apart
        return not simple(value.node)

    def assign_name(self, key: str, value: Value, source: ast.stmt) -> None:
        if isinstance(value, Many) and self.read_again(key):
            items = [self.lined(part, f"{key}_1", source) for part in value.items]
            value = Many(items, value.kind)
        if self.needs_line(key, value):
            self.emit_name(key, self.code(value), value, source)
        else:
            self.env[key] = value

    def read_again(self, key: str) -> bool:
        """Whether a variable is read in more than one place."""
        parts = (part for part in ast.walk(self.home.tree) if isinstance(part, ast.Name))
        return sum(part.id == key and isinstance(part.ctx, ast.Load) for part in parts) > 1

    def emit_name(self, key: str, code: ast.expr, value: Value, source: ast.stmt) -> None:
        label = name(self.fresh(key))
        self.emit(setting(label, code), source)
        if isinstance(value, Known):
            self.env[key] = Known(value.value, label)
        else:
            self.env[key] = Code(label, value.optional)

    def fresh(self, key: str) -> str:
        return self.scope.unique(key) if self.apart else key
