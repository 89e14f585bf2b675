"""A template's syntax tree by Jinja's parser, and what Jinja would refuse before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.ext import Extension, loopcontrols
from jinja2.idtracking import VAR_LOAD_UNDEFINED, Symbols
from jinja2.lexer import Lexer, Token
from jinja2.parser import Parser
from jinja2.utils import missing

from blocks.text.filters import FILTERS, GENERATION, TESTS

__all__: list[str] = []

_TOKENS = 16_000
_DIGITS = 1_000  # of a number
_DEPTH = 150
_LOOPS = 20  # in one another; Python itself takes no more
_TOO_DEEP = "it is nested too deeply"
_UNDEFINED = (VAR_LOAD_UNDEFINED, None)


class _Generation(Extension):
    """`{% generation %}` marks what the assistant said, for training; its text stays as it is."""

    tags = {"generation"}  # noqa: RUF012 as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = nodes.Call(nodes.Name(GENERATION, "load"), [], [], None, None)
        return nodes.CallBlock(call, [], [], body).set_lineno(line)


class _Lexer(Lexer):
    def wrap(
        self,
        stream: Iterable[tuple[int, str, str]],
        name: str | None = None,
        filename: str | None = None,
    ) -> Iterator[Token]:
        for count, (line, kind, text) in enumerate(stream):
            if count > _TOKENS:
                raise TemplateSyntaxError("it has too many parts", line)
            if kind in ("integer", "float") and len(text) > _DIGITS:
                raise TemplateSyntaxError("a number has too many digits", line)
            if kind == "float":  # which Jinja lets Python compile
                yield Token(line, kind, float(text))  # pyright: ignore[reportArgumentType] numbers too
            else:
                yield from super().wrap([(line, kind, text)], name, filename)


class _Grammar(Environment):
    @cached_property
    def lexer(self) -> Lexer:  # pyright: ignore[reportIncompatibleMethodOverride] a property there
        return _Lexer(self)


_GRAMMAR = _Grammar(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])


_FRAMES = (
    *(nodes.For, nodes.Macro, nodes.CallBlock, nodes.FilterBlock),
    *(nodes.AssignBlock, nodes.With, nodes.Scope),
)
_OUTSIDE = ("iter", "call", "values")  # what a frame's node reads before its frame begins
_SPECIAL = ("caller", "kwargs", "varargs")


class _Place(NamedTuple):
    """Where a node stands."""

    depth: int = 0
    loops: int = 0  # that a break could end
    looped: bool = False  # in any loop at all
    soft: bool = False  # only an if decides whether it runs

    def inside(self, node: nodes.Node, field: str) -> _Place:
        deeper = self._replace(depth=self.depth + 1)
        if isinstance(node, (nodes.If, nodes.CondExpr)):
            return deeper._replace(soft=True)
        if not isinstance(node, _FRAMES) or field in _OUTSIDE:
            return deeper
        if isinstance(node, (nodes.Macro, nodes.CallBlock)):
            return _Place(deeper.depth, 0, self.looped)
        loops = self.loops + (isinstance(node, nodes.For) and field == "body")
        return _Place(deeper.depth, loops, self.looped or isinstance(node, nodes.For))


class Template:
    """A syntax tree that Jinja would compile, with what is known of its frames."""

    def __init__(self, source: str):
        parser = Parser(_GRAMMAR, source)
        try:
            # `Environment.parse` would compile a fake function to say where an error is.
            self.tree = parser.parse()
        except RecursionError:
            line = parser.stream.current.lineno
            raise TemplateSyntaxError(_TOO_DEEP, line) from None
        self._frames: dict[tuple[nodes.Node, str], tuple[Symbols, dict[str, Any]]] = {}
        self._specials: dict[nodes.Node, list[str]] = {}
        todo: list[tuple[nodes.Node, _Place]] = [(self.tree, _Place())]
        while todo:
            node, place = todo.pop()
            if reason := self._refusal(node, place):
                raise TemplateSyntaxError(reason, node.lineno)
            for field, value in node.iter_fields():
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, nodes.Node):
                        todo.append((child, place.inside(node, field)))

    def _refusal(self, node: nodes.Node, place: _Place) -> str | None:
        if place.depth > _DEPTH or place.loops > _LOOPS:
            return _TOO_DEEP
        if isinstance(node, (nodes.Break, nodes.Continue)) and not place.loops:
            return f"{type(node).__name__.lower()} stands outside a loop"
        if isinstance(node, nodes.Filter) and node.name not in FILTERS and not place.soft:
            return f"there is no filter {node.name!r}"
        if isinstance(node, nodes.Test) and node.name not in TESTS and not place.soft:
            return f"there is no test {node.name!r}"
        if isinstance(node, (nodes.Call, nodes.Filter, nodes.Test)):
            return _repeated([argument.key for argument in node.kwargs])
        if isinstance(node, nodes.Name) and node.ctx == "store" and node.name == "loop":
            return "loop can't be assigned in a loop" if place.looped else None
        if isinstance(node, (nodes.Macro, nodes.CallBlock)):
            names = [argument.name for argument in node.args]
            needed = names[: len(names) - len(node.defaults)]
            if "caller" in needed and "caller" in self.specials(node):
                return "the argument caller needs a default"
            return _repeated(names)
        return None

    def frame(
        self, node: nodes.Node, branch: str, outer: Symbols | None
    ) -> tuple[Symbols, dict[str, Any]]:
        """A frame's names, and those that are undefined in it until it assigns to them.

        A name that a frame assigns to before it reads it hides the caller's variable of that name
        from the frames within, from the beginning.
        """
        if (node, branch) not in self._frames:
            symbols = Symbols(outer)
            symbols.analyze_node(node, for_branch=branch)
            hidden = [n for n, ref in symbols.refs.items() if symbols.loads.get(ref) == _UNDEFINED]
            self._frames[node, branch] = symbols, dict.fromkeys(hidden, missing)
        return self._frames[node, branch]

    def specials(self, node: nodes.Macro | nodes.CallBlock) -> list[str]:
        """Which of caller, kwargs and varargs a macro's body reads before it assigns to them."""
        if node not in self._specials:
            first: dict[str, str] = {}
            todo: list[nodes.Node] = node.body[::-1]
            while todo:
                found = todo.pop()
                if isinstance(found, nodes.Name):
                    first.setdefault(found.name, found.ctx)
                todo += [*found.iter_child_nodes()][::-1]
            self._specials[node] = [name for name in _SPECIAL if first.get(name) == "load"]
        return self._specials[node]


def _repeated(names: list[Any]) -> str | None:
    twice = next((name for name in names if names.count(name) > 1), None)
    return None if twice is None else f"the argument {twice!r} stands there twice"
