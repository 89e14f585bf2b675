"""Expressions of the library's code, found as far as a model decides them."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.surgery.ejecting.refusal import Refusal
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

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_VIEWS = (type({}.items()), type({}.values()), type({}.keys()))
MODULES = {"F": F, "math": math, "torch": torch, "nn": nn}


def canonical(value: Any) -> ast.expr | None:
    """Code that names a thing of torch's or Python's."""
    if isinstance(value, torch.dtype | torch.memory_format):
        return dotted(str(value))
    for short, module in MODULES.items():
        if value is module:
            return name(short)
    label = getattr(value, "__name__", None)
    for short in ("F", "torch", "nn", "math"):
        if label and getattr(MODULES[short], label, None) is value:
            return dotted(f"{short}.{label}")
    if value is Tensor:
        return name("Tensor")
    if isinstance(label, str) and getattr(__builtins__, label, None) is value:
        return name(label)
    builtin = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
    return name(label) if isinstance(label, str) and builtin.get(label) is value else None


class Expressions:
    """Gives a Value for every expression; what is found at run time only stays code."""

    scope: Any
    env: dict[str, Value]
    home: Any

    def value(self, node: ast.expr) -> Value:
        method = getattr(self, f"on_{type(node).__name__}", None)
        if method is None:
            raise Refusal(f"{ast.unparse(node)} is of no kind that can be rewritten")
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
        raise Refusal(f"a {type(value).__name__} stands where code is wanted {value}"[:500])

    def function_code(self, value: Closure) -> ast.expr:
        if not isinstance(value.node, ast.Lambda):
            raise Refusal(f"the function {value.node.name} within a function")
        inner = {arg.arg: Code(name(arg.arg)) for arg in value.node.args.args}
        walk = self.beside({**value.env, **inner}, value.home)
        return ast.Lambda(value.node.args, walk.code(walk.value(value.node.body)))

    def beside(self, env: dict[str, Value], home: Any) -> Any:
        raise NotImplementedError  # pragma: no cover

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
            raise Refusal(f"{value!r} can't be written as code")
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
        builtin = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
        if node.id in builtin:
            return Known(builtin[node.id])
        raise Refusal(f"the name {node.id} is not known in {self.home.tree.name}")

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
        raise NotImplementedError  # pragma: no cover

    def slot_attribute(self, owner: Slot, attr: str) -> Value:
        if attr in owner.made:
            return owner.made[attr]
        found = getattr(owner.module, attr)
        if isinstance(found, nn.ModuleList):
            return Many([Part(one, None) for one in found])
        if isinstance(found, nn.Module):
            return Part(found, ast.Attribute(name("self"), self.scope.info.label_of(owner, attr)))
        return Bound(owner, attr) if callable(found) else Known(found)

    def on_BinOp(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        return self.joined(node.op, left, right)

    def joined(self, op: ast.operator, left: Value, right: Value) -> Value:
        if isinstance(left, Known) and isinstance(right, Known):
            found = OPERATORS[type(op)](left.value, right.value)
            named = left.node or right.node or left.hint or right.hint
            if not named or not plain(found):
                return Known(found)
            return Known(found, ast.BinOp(self.code(left), op, self.code(right)))
        if isinstance(left, Many) and isinstance(right, Many) and isinstance(op, ast.Add):
            return Many(left.items + right.items, left.kind)
        if isinstance(left, Many) and isinstance(right, Known) and isinstance(op, ast.Mult):
            return Many(left.items * right.value, left.kind)
        if isinstance(left, Fields) and isinstance(right, Fields) and isinstance(op, ast.BitOr):
            return Fields({**left.items, **right.items})
        neutral = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.Div: 1}.get(type(op))
        if neutral is not None:
            if isinstance(right, Known) and plain(right.value) and right.value == neutral:
                return left
            swaps = isinstance(op, ast.Add | ast.Mult)
            if swaps and isinstance(left, Known) and plain(left.value) and left.value == neutral:
                return right
        return Code(ast.BinOp(self.code(left), op, self.code(right)))

    def on_UnaryOp(self, node: ast.UnaryOp) -> Value:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return Code(ast.UnaryOp(node.op, self.code(value))) if truth is None else Known(not truth)
        if isinstance(value, Known):
            named = value.node or value.hint
            code = ast.UnaryOp(node.op, self.code(value)) if named else None
            return Known(OPERATORS[type(node.op)](value.value), code)
        return Code(ast.UnaryOp(node.op, self.code(value)))

    def on_BoolOp(self, node: ast.BoolOp) -> Value:
        both, kept = isinstance(node.op, ast.And), []
        first = self.value(node.values[0])
        if isinstance(first, Memory) and not both:
            start = self.value(node.values[1])
            return Memory(first.node, start if isinstance(start, Fields) else None)
        value: Value = Known(both)
        for part in node.values:
            value = self.value(part)
            truth = self.truth(value)
            if truth is None:
                kept.append(value)
            elif truth is not both:  # it decides
                if kept and both:
                    return Known(False)
                if kept:
                    return Known(True)
                return value
        if not kept:
            return value
        codes = [self.code(part) for part in kept]
        return Code(codes[0] if len(codes) == 1 else ast.BoolOp(node.op, codes))

    def on_Compare(self, node: ast.Compare) -> Value:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        if all(isinstance(part, Known) for part in values):
            known = [part.value for part in values if isinstance(part, Known)]
            pairs = zip(known[:-1], known[1:], node.ops, strict=True)
            return Known(all(OPERATORS[type(op)](a, b) for a, b, op in pairs))
        if len(values) == 2 and isinstance(node.ops[0], ast.Is | ast.IsNot):
            found = self.same(*values)
            if found is not None:
                return Known(found is isinstance(node.ops[0], ast.Is))
        if len(values) == 2 and isinstance(node.ops[0], ast.In | ast.NotIn):
            group = values[1]
            if isinstance(values[0], Known) and isinstance(group, Many | Fields):
                keys = list(group.items) if isinstance(group, Fields) else [
                    part.value for part in group.items if isinstance(part, Known)
                ]
                return Known((values[0].value in keys) is isinstance(node.ops[0], ast.In))
        codes = [self.code(part) for part in values]
        return Code(ast.Compare(codes[0], node.ops, codes[1:]))

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

    def on_IfExp(self, node: ast.IfExp) -> Value:
        test = self.value(node.test)
        truth = self.truth(test)
        if truth is not None:
            return self.value(node.body if truth else node.orelse)
        body, other = self.value(node.body), self.value(node.orelse)
        return Code(ast.IfExp(self.code(test), self.code(body), self.code(other)))

    def on_Tuple(self, node: ast.Tuple | ast.List) -> Value:
        items: list[Value] = []
        for part in node.elts:
            if isinstance(part, ast.Starred):
                found = self.value(part.value)
                rest = self.listed(found)
                items += [Code(ast.Starred(self.code(found)))] if rest is None else rest
            else:
                items.append(self.value(part))
        return Many(items, list if isinstance(node, ast.List) else tuple)

    on_List = on_Tuple

    def on_Dict(self, node: ast.Dict) -> Value:
        found: dict[Any, Value] = {}
        for key, part in zip(node.keys, node.values, strict=True):
            value = self.value(part)
            if key is None:
                if not isinstance(value, Fields):
                    raise Refusal("a dict of unknown keys")
                found |= value.items
            else:
                known = self.value(key)
                if not isinstance(known, Known):
                    raise Refusal("a dict of unknown keys")
                found[known.value] = value
        return Fields(found)

    def on_Subscript(self, node: ast.Subscript) -> Value:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [node.slice.lower, node.slice.upper, node.slice.step]
            values = [None if part is None else self.value(part) for part in bounds]
            known = all(part is None or isinstance(part, Known) for part in values)
            cut = slice(*(part.value if isinstance(part, Known) else None for part in values))
            if known and isinstance(owner, Many):
                return Many(owner.items[cut], owner.kind)
            if known and isinstance(owner, Known):
                return Known(owner.value[cut])
        else:
            index = self.value(node.slice)
            if isinstance(index, Known) and isinstance(owner, Many):
                return owner.items[index.value]
            if isinstance(index, Known) and isinstance(owner, Fields):
                return owner.items[index.value]
            if isinstance(index, Known) and isinstance(owner, Known):
                found = owner.value[index.value]
                code = ast.Subscript(owner.node, self.code(index)) if owner.node else None
                return Known(found, code if plain(found) else None)
        return Code(ast.Subscript(self.code(owner), self.place(node.slice)))

    def place(self, node: ast.expr) -> ast.expr:
        """Code of what stands between brackets."""
        if isinstance(node, ast.Slice):
            parts = (node.lower, node.upper, node.step)
            return ast.Slice(*(None if p is None else self.code(self.value(p)) for p in parts))
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self.place(part) for part in node.elts])
        return self.code(self.value(node))

    def on_Slice(self, node: ast.Slice) -> Value:
        return Code(self.place(node))

    def on_Lambda(self, node: ast.Lambda) -> Value:
        return Closure(node, self.env, self.home)

    def on_JoinedStr(self, node: ast.JoinedStr) -> Value:
        return Known("")

    def on_Starred(self, node: ast.Starred) -> Value:
        return Code(ast.Starred(self.code(self.value(node.value))))

    def on_NamedExpr(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        if not isinstance(value, Known):
            raise Refusal("an assignment within an expression")
        self.env[node.target.id] = value
        return value

    def listed(self, value: Value) -> list[Value] | None:
        """The parts of a value that is walked over, if they are known."""
        if isinstance(value, Many):
            return value.items
        if isinstance(value, Fields):
            return [Known(key) for key in value.items]
        if isinstance(value, Known) and isinstance(value.value, (dict, *_VIEWS)):
            return [self.parted(part) for part in value.value]
        if isinstance(value, Known) and isinstance(value.value, tuple | list | str):
            codes = (
                None if value.node is None else ast.Subscript(value.node, ast.Constant(i))
                for i in range(len(value.value))
            )
            return [
                Known(part, code if plain(part) else None)
                for part, code in zip(value.value, codes, strict=True)
            ]
        return None

    def parted(self, part: Any) -> Value:
        """A key, or a key with what belongs to it."""
        return Many([Known(one) for one in part]) if isinstance(part, tuple) else Known(part)

    def on_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> Value:
        first = node.generators[0]
        source = self.value(first.iter)
        items = self.listed(source)
        if items is not None and len(node.generators) == 1:
            found = []
            for item in items:
                walk = self.beside(dict(self.env), self.home)
                walk.lines = self.lines
                walk.bind(first.target, item)
                tests = [walk.truth(walk.value(test)) for test in first.ifs]
                if None in tests:
                    raise Refusal("a choice among known parts that is made at run time")
                if all(tests):
                    found.append(walk.value(node.elt))
            return Many(found, list)
        return self.run_time_list(node, source)

    on_GeneratorExp = on_ListComp

    def run_time_list(self, node: ast.ListComp | ast.GeneratorExp, source: Value) -> Value:
        walk = self.beside(dict(self.env), self.home)
        generators = []
        for i, each in enumerate(node.generators):
            given = self.code(source) if i == 0 else walk.code(walk.value(each.iter))
            for part in ast.walk(each.target):
                if isinstance(part, ast.Name):
                    walk.env[part.id] = Code(name(part.id))
            kept = []
            for test in each.ifs:
                found = walk.value(test)
                truth = walk.truth(found)
                if truth is None:
                    kept.append(walk.code(found))
                elif not truth:
                    return Many([])
            generators.append(ast.comprehension(each.target, given, kept, 0))
        value = walk.value(node.elt)
        made = self.repeated(value, generators)
        if made is not None:
            return made
        return Code(type(node)(walk.code(value), generators))

    def repeated(self, value: Value, generators: list[ast.comprehension]) -> Value | None:
        return None


