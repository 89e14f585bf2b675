"""Runs a template by walking over its syntax tree: nothing of it ever becomes Python code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import LoopContext, Macro, Undefined
from jinja2.utils import missing

from blocks.text.budget import Budget
from blocks.text.expressions import BODY, Expressions, Scope, Table
from blocks.text.filters import GLOBALS
from blocks.text.grammar import Template
from blocks.text.values import Namespace

__all__: list[str] = []


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Walker(Expressions):
    """One rendering of a template."""

    def __init__(self, template: Template, data: dict[str, Any], budget: Budget):
        super().__init__(budget)
        self._template = template
        self._out: list[str] = []
        self._root = Scope({**GLOBALS, **data})

    def render(self) -> str:
        tree = self._template.tree
        scope = self._inner(tree, self._root)
        return self._text(lambda: self._walk(tree.body, scope))

    def _inner(self, node: nodes.Node, outer: Scope, branch: str = "body") -> Scope:
        symbols, hidden = self._template.frame(node, branch, outer.symbols)
        return Scope(hidden.copy(), outer, symbols)

    def _text(self, write: Callable[[], None]) -> str:
        """What is written meanwhile."""
        around, self._out = self._out, []
        try:
            write()
            return self.budget.concat(self._out)
        finally:
            self._out = around

    def _walk(self, body: Iterable[nodes.Node], scope: Scope) -> None:
        for node in body:
            self.line = node.lineno
            _STATEMENTS[type(node)](self, node, scope)

    def _output(self, node: nodes.Output, scope: Scope) -> None:
        for part in node.nodes:
            self.line = part.lineno
            self._write(self.value(part, scope))

    def _write(self, value: Any) -> None:
        self._out.append(self.budget.made(value if type(value) is str else str(value)))

    def _if(self, node: nodes.If, scope: Scope) -> None:
        for case in (node, *node.elif_):
            if self.value(case.test, scope):
                return self._walk(case.body, scope)
        self._walk(node.else_, scope)

    def _for(self, node: nodes.For, scope: Scope) -> None:
        items = self.value(node.iter, scope)
        if not node.recursive:
            return self._turns(node, scope, items)

        def again(items: Any, _: Any = None, depth: int = 0) -> str:
            return self._text(lambda: self._turns(node, scope, items, again, depth))

        self._write(again(items))

    def _turns(
        self, node: nodes.For, scope: Scope, items: Any, again: Any = None, depth: int = 0
    ) -> None:
        if node.test is not None:
            items = self._chosen(node, node.test, scope, items)
        symbols, hidden = self._template.frame(node, "body", scope.symbols)
        finished = False
        for value, loop in LoopContext(items, Undefined, again, depth):
            self.budget.step()
            inner = Scope(hidden | {"loop": loop}, scope, symbols)
            self._assign(node.target, value, inner)
            try:
                self._walk(node.body, inner)
            except _Continue:
                continue
            except _Break:
                break
            finished = True
        if not finished:  # no turn came to its end: also after a break, as in Jinja
            self._walk(node.else_, self._inner(node, scope, "else"))

    def _chosen(
        self, node: nodes.For, test: nodes.Node, scope: Scope, items: Iterable[Any]
    ) -> Iterator[Any]:
        for value in items:
            self.budget.step()
            inner = self._inner(node, scope, "test")
            self._assign(node.target, value, inner)
            if self.value(test, inner):
                yield value

    def _break(self, node: nodes.Break, scope: Scope) -> None:
        raise _Break

    def _continue(self, node: nodes.Continue, scope: Scope) -> None:
        raise _Continue

    def _set(self, node: nodes.Assign, scope: Scope) -> None:
        self._assign(node.target, self.value(node.node, scope), scope)

    def _set_block(self, node: nodes.AssignBlock, scope: Scope) -> None:
        self._assign(node.target, self._filtered(node, node.filter, scope), scope)

    def _filter_block(self, node: nodes.FilterBlock, scope: Scope) -> None:
        self._write(self._filtered(node, node.filter, scope))

    def _filtered(self, node: Any, filter: nodes.Filter | None, scope: Scope) -> Any:
        inner = self._inner(node, scope)
        inner.names[BODY] = text = self._text(lambda: self._walk(node.body, inner))
        return text if filter is None else self.value(filter, inner)

    def _assign(self, target: nodes.Node, value: Any, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            scope.names[target.name] = value
        elif isinstance(target, nodes.NSRef):
            namespace = scope.find(target.name)
            if not isinstance(namespace, Namespace):
                raise TemplateRuntimeError("only a namespace's attributes can be assigned to")
            namespace.put(target.attr, value)
        elif isinstance(target, nodes.Tuple):
            values = list(islice(value, len(target.items) + 1))
            if len(values) != len(target.items):
                raise ValueError(f"not {len(target.items)} values for as many names")
            for name, part in zip(target.items, values, strict=True):
                self._assign(name, part, scope)

    def _with(self, node: nodes.With, scope: Scope) -> None:
        inner = self._inner(node, scope)
        for target, value in zip(node.targets, node.values, strict=True):
            self._assign(target, self.value(value, scope), inner)
        self._walk(node.body, inner)

    def _macro(self, node: nodes.Macro, scope: Scope) -> None:
        scope.names[node.name] = self._function(node, scope, node.name)

    def _call_block(self, node: nodes.CallBlock, scope: Scope) -> None:
        caller = self._function(node, scope)
        self._write(self.call(node.call, scope, caller=caller))

    def _function(self, node: Any, scope: Scope, name: Any = None) -> Macro:
        names: Any = tuple(argument.name for argument in node.args)
        reads = self._template.specials(node)
        specials = [special for special in reads if special not in names]
        defaults = dict(zip(names[::-1], node.defaults[::-1], strict=False))

        def run(*given: Any) -> str:
            inner = self._inner(node, scope)
            inner.names.update(zip((*names, *specials), given, strict=True))
            for name in names:
                if inner.names[name] is missing:
                    inner.names[name] = self._default(name, defaults.get(name), inner)
            return self._text(lambda: self._walk(node.body, inner))

        host: Any = self.host
        keywords, more, caller = "kwargs" in specials, "varargs" in specials, "caller" in reads
        return Macro(host, run, name, names, keywords, more, caller, False)

    def _default(self, name: str, default: nodes.Node | None, scope: Scope) -> Any:
        if default is None:
            return Undefined(f"parameter {name!r} was not provided", name=name)
        return self.value(default, scope)


_STATEMENTS = Table(
    {
        nodes.Output: Walker._output,
        nodes.If: Walker._if,
        nodes.For: Walker._for,
        nodes.Break: Walker._break,
        nodes.Continue: Walker._continue,
        nodes.Assign: Walker._set,
        nodes.AssignBlock: Walker._set_block,
        nodes.FilterBlock: Walker._filter_block,
        nodes.With: Walker._with,
        nodes.Macro: Walker._macro,
        nodes.CallBlock: Walker._call_block,
    }
)
