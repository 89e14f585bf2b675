"""Expressions of the library's code, found as far as a model decides them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from typing import Any

from blocks.surgery.ejecting.code import joined_by
from blocks.surgery.ejecting.literals import Literals
from blocks.surgery.ejecting.values import Closure, Code, Fields, Known, Value, all_known, plain

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
            if not (left.named or right.named) or not plain(found):
                return Known(found)
            return Known(found, ast.BinOp(self.code(left), op, self.code(right)))
        if isinstance(left, Fields) and isinstance(right, Fields) and isinstance(op, ast.BitOr):
            return Fields({**left.items, **right.items})
        if self.neutral(op, right):
            return left
        if isinstance(op, ast.Add | ast.Mult) and self.neutral(op, left):
            return right
        return Code(ast.BinOp(self.code(left), op, self.code(right)))

    def neutral(self, op: ast.operator, value: Value) -> bool:
        """Whether it is the number that changes nothing."""
        none = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.Div: 1}.get(type(op))
        known = value.value if isinstance(value, Known) else None
        return none is not None and plain(known) and known == none

    def on_UnaryOp(self, node: ast.UnaryOp) -> Value:
        value = self.value(node.operand)
        truth = self.truth(value) if isinstance(node.op, ast.Not) else None
        if truth is not None:
            return Known(not truth)
        if isinstance(value, Known):
            code = ast.UnaryOp(node.op, self.code(value)) if value.named else None
            return Known(OPERATORS[type(node.op)](value.value), code)
        return Code(ast.UnaryOp(node.op, self.code(value)))

    def on_BoolOp(self, node: ast.BoolOp) -> Value:
        return self.decided(node.op, (self.value(part) for part in node.values))

    def decided(self, op: ast.boolop, parts: Iterable[Value]) -> Value:
        """Conditions joined by `and` or `or`: those that are known are gone, or decide."""
        both = isinstance(op, ast.And)
        kept: list[ast.expr] = []
        value: Value = Known(both)
        for value in parts:
            truth = self.truth(value)
            if truth is None:
                kept.append(self.code(value))
            elif truth is not both:
                return Known(not both) if kept else value
        return Code(joined_by(op, kept)) if kept else value

    def on_Compare(self, node: ast.Compare) -> Value:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        known = all_known(values)
        if known is not None:
            pairs = zip(known[:-1], known[1:], node.ops, strict=True)
            return Known(all(OPERATORS[type(op)](a, b) for a, b, op in pairs))
        if isinstance(node.ops[0], ast.Is | ast.IsNot):
            found = self.same(*values)
            if found is not None:
                return Known(found is isinstance(node.ops[0], ast.Is))
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
