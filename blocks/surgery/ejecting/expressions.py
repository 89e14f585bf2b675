"""Expressions of the library's code, found as far as a model decides them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from blocks.errors import SpecError
from blocks.surgery.ejecting.literals import Literals
from blocks.surgery.ejecting.values import (
    Closure,
    Code,
    Fields,
    Known,
    Many,
    Memory,
    Value,
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


class Expressions(Literals):
    """Gives a Value for every expression; what is found at run time only stays code."""

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
            return (
                Code(ast.UnaryOp(node.op, self.code(value))) if truth is None else Known(not truth)
            )
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
                keys = (
                    list(group.items)
                    if isinstance(group, Fields)
                    else [part.value for part in group.items if isinstance(part, Known)]
                )
                return Known((values[0].value in keys) is isinstance(node.ops[0], ast.In))
        codes = [self.code(part) for part in values]
        return Code(ast.Compare(codes[0], node.ops, codes[1:]))

    def on_IfExp(self, node: ast.IfExp) -> Value:
        test = self.value(node.test)
        truth = self.truth(test)
        if truth is not None:
            return self.value(node.body if truth else node.orelse)
        body, other = self.value(node.body), self.value(node.orelse)
        return Code(ast.IfExp(self.code(test), self.code(body), self.code(other)))

    def on_Lambda(self, node: ast.Lambda) -> Value:
        return Closure(node, self.env, self.home)

    def on_JoinedStr(self, node: ast.JoinedStr) -> Value:
        return Known("")

    def on_NamedExpr(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        if not isinstance(value, Known):
            raise SpecError("an assignment within an expression")
        self.env[node.target.id] = value
        return value
