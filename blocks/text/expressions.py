"""What the expressions of a template give: a walk over their syntax tree."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.idtracking import Symbols
from jinja2.runtime import Undefined
from jinja2.utils import missing

from blocks.text.budget import Budget
from blocks.text.host import Host
from blocks.text.values import attribute, item

__all__: list[str] = []

_SIMPLE = frozenset([str, int, float, bool, type(None)])
BODY = ""  # where a block's text waits for its filter; no name is empty


class Scope:
    """The names of one frame and, outside of it, those of the frames around."""

    __slots__ = ("names", "outer", "symbols")

    def __init__(
        self, names: dict[str, Any], outer: Scope | None = None, symbols: Symbols | None = None
    ):
        self.names, self.outer, self.symbols = names, outer, symbols

    def find(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return missing


class Expressions:
    """Gives the values of expressions, by the names of a scope."""

    def __init__(self, budget: Budget):
        self.line = 1
        self.budget, self.host = budget, Host(budget)

    def value(self, node: nodes.Node, scope: Scope) -> Any:
        return _EXPRESSIONS[type(node)](self, node, scope)

    def unknown(self, node: nodes.Node, scope: Scope) -> Any:
        raise TemplateError(f"the tag {type(node).__name__.lower()} is not for chat templates")

    def _values(self, parts: Iterable[nodes.Node], scope: Scope) -> list[Any]:
        return [self.value(part, scope) for part in parts]

    def _const(self, node: nodes.Const, scope: Scope) -> Any:
        return node.value

    def _data(self, node: nodes.TemplateData, scope: Scope) -> str:
        return node.data

    def _name(self, node: nodes.Name, scope: Scope) -> Any:
        value = scope.find(node.name)
        return Undefined(name=node.name) if value is missing else value

    def _list(self, node: nodes.List, scope: Scope) -> Any:
        return self.budget.made(self._values(node.items, scope))

    def _tuple(self, node: nodes.Tuple, scope: Scope) -> Any:
        return self.budget.made(tuple(self._values(node.items, scope)))

    def _dict(self, node: nodes.Dict, scope: Scope) -> Any:
        pairs = [self._values((pair.key, pair.value), scope) for pair in node.items]
        return self.budget.made(dict(pairs))

    def _getattr(self, node: nodes.Getattr, scope: Scope) -> Any:
        return attribute(self.value(node.node, scope), node.attr)

    def _getitem(self, node: nodes.Getitem, scope: Scope) -> Any:
        value = self.value(node.node, scope)
        if isinstance(node.arg, nodes.Slice):
            ends = (node.arg.start, node.arg.stop, node.arg.step)
            found = [None if end is None else self.value(end, scope) for end in ends]
            return self.budget.made(value[slice(*found)])
        return item(value, self.value(node.arg, scope))

    def call(self, node: nodes.Call, scope: Scope, **caller: Any) -> Any:
        """The value of a call; `caller` is what a call block passes beside."""
        function = self.value(node.node, scope)
        args, kwargs = self._arguments(node, scope)
        self.line = node.lineno
        return self.host.call(function, args, _named(**caller, **kwargs))

    def _arguments(self, node: Any, scope: Scope) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args = self._values(node.args, scope)
        kwargs = {pair.key: self.value(pair.value, scope) for pair in node.kwargs}
        if node.dyn_args is not None:
            args = self.budget.made([*args, *self.value(node.dyn_args, scope)])
        if node.dyn_kwargs is not None:
            more = self.value(node.dyn_kwargs, scope)
            kwargs = self.budget.made(_named(**kwargs, **more))
        return tuple(args), kwargs

    def _filter(self, node: nodes.Filter, scope: Scope) -> Any:
        value = scope.find(BODY) if node.node is None else self.value(node.node, scope)
        args, kwargs = self._arguments(node, scope)
        return self.host.call_filter(node.name, value, args, kwargs)

    def _test(self, node: nodes.Test, scope: Scope) -> Any:
        value = self.value(node.node, scope)
        args, kwargs = self._arguments(node, scope)
        return self.host.call_test(node.name, value, args, kwargs)

    def _binary(self, node: nodes.BinExpr, scope: Scope) -> Any:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        return self.host.operate(node.operator, left, right)

    def _and(self, node: nodes.And, scope: Scope) -> Any:
        return self.value(node.left, scope) and self.value(node.right, scope)

    def _or(self, node: nodes.Or, scope: Scope) -> Any:
        return self.value(node.left, scope) or self.value(node.right, scope)

    def _not(self, node: nodes.Not, scope: Scope) -> bool:
        return not self.value(node.node, scope)

    def _negative(self, node: nodes.Neg, scope: Scope) -> Any:
        return -self.value(node.node, scope)

    def _positive(self, node: nodes.Pos, scope: Scope) -> Any:
        return +self.value(node.node, scope)

    def _concat(self, node: nodes.Concat, scope: Scope) -> str:
        return self.budget.concat(map(str, self._values(node.nodes, scope)))

    def _compare(self, node: nodes.Compare, scope: Scope) -> Any:
        left = result = self.value(node.expr, scope)
        for part in node.ops:
            right = self.value(part.expr, scope)
            if type(right) not in _SIMPLE or part.op in ("in", "notin"):
                self.budget.read(left, right)
                self.budget.work(self.budget.weigh(left, right))
            result = _COMPARISONS[part.op](left, right)
            if not result:
                break
            left = right
        return result

    def _either(self, node: nodes.CondExpr, scope: Scope) -> Any:
        if self.value(node.test, scope):
            return self.value(node.expr1, scope)
        if node.expr2 is not None:
            return self.value(node.expr2, scope)
        return Undefined("the inline if was false and has no else")


def _named(**kwargs: Any) -> dict[str, Any]:
    """Merged as Python merges them: names are texts, and none stands there twice."""
    return kwargs


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda part, whole: part in whole,
    "notin": lambda part, whole: part not in whole,
}


class Table(dict[type, Callable[..., Any]]):
    """What to do with nodes of a class: with those it does not know, nothing."""

    def __missing__(self, kind: type) -> Callable[..., Any]:
        return Expressions.unknown


_BINARY = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow)
_EXPRESSIONS = Table(
    dict.fromkeys(_BINARY, Expressions._binary)
    | {
        nodes.Const: Expressions._const,
        nodes.TemplateData: Expressions._data,
        nodes.Name: Expressions._name,
        nodes.List: Expressions._list,
        nodes.Tuple: Expressions._tuple,
        nodes.Dict: Expressions._dict,
        nodes.Getattr: Expressions._getattr,
        nodes.Getitem: Expressions._getitem,
        nodes.Call: Expressions.call,
        nodes.Filter: Expressions._filter,
        nodes.Test: Expressions._test,
        nodes.And: Expressions._and,
        nodes.Or: Expressions._or,
        nodes.Not: Expressions._not,
        nodes.Neg: Expressions._negative,
        nodes.Pos: Expressions._positive,
        nodes.Concat: Expressions._concat,
        nodes.Compare: Expressions._compare,
        nodes.CondExpr: Expressions._either,
    }
)
