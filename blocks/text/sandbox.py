"""A Jinja sandbox that counts, for templates from strangers.

Jinja's own sandbox keeps a template from reaching Python; it does not keep it from running for ever
or from filling the memory. Here every turn of a loop, call, filter and join is charged to a budget,
and what one operation could make too large is estimated before it is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import datetime
from functools import partial, wraps
from math import inf
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from blocks.text.budget import INTEGER_BITS, MIB, PERCENT, Budget

__all__: list[str] = []

_JINJA_ONLY = ("_loop_vars", "_block_vars")
_FOR_HTML = ("forceescape", "pprint", "striptags", "urlize", "wordwrap", "xmlattr")
_STRING_METHODS = frozenset(
    "capitalize casefold center count endswith find format index isalnum isalpha isascii isdecimal "
    "isdigit islower isnumeric isspace istitle isupper join ljust lower lstrip partition "
    "removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split "
    "splitlines startswith strip swapcase title upper zfill".split()
)

spent: ContextVar[Budget] = ContextVar("budget")


def _metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays; what Jinja itself passes in front is not weighed."""
    front = int(hasattr(function, "jinja_pass_arg"))

    @wraps(function)
    def paid(*args: Any, **kwargs: Any) -> Any:
        call = partial(function, *args[:front])
        return spent.get().run(name, call, *args[front:], **kwargs)

    return paid


class _Rewriter(NodeTransformer):
    """Puts the budget where Jinja's generated code would not call the environment."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_turns")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_concat")

    def visit_List(self, node: nodes.List | nodes.Dict | nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        return node if getattr(node, "ctx", "load") == "store" else _filter(node, "_built")

    visit_Dict = visit_Tuple = visit_List


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """`{% generation %}` marks what the assistant said, for training; its text stays as it is."""

    tags = {"generation"}  # noqa: RUF012 as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """`dict(...)` without the class, whose attributes a template could follow."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    def __init__(*args: Any, **kwargs: Any) -> None:  # `self` may be the name of an attribute
        self, *rest = args
        Namespace.__init__(self)
        for name, value in dict(*rest, **kwargs).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a namespace can't hold the private name {name!r}")
        Namespace.__setitem__(self, name, value)

    def __repr__(self) -> str:
        return "<Namespace>"  # what it holds may hold it


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, loopcontrols],
            optimized=False,  # nothing runs before there is a budget
            finalize=_shown,
        )
        del self.globals["lipsum"]
        self.globals |= {
            "raise_exception": _raise,
            "strftime_now": _now,
            "dict": _Dict(),
            "namespace": _Namespace,
        }
        self.filters["tojson"] = _json
        self.filters = {n: _metered(n, f) for n, f in self.filters.items() if n not in _FOR_HTML}
        self.filters |= {"_turns": _turns, "_concat": _concat, "_built": _built}

    @staticmethod
    def concat(parts: Iterable[str]) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] a class attribute there
        return spent.get().concat(parts)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Rewriter().visit(super()._parse(source, name, filename))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in _STRING_METHODS
        return not isinstance(obj, (bytes, int, float)) and super().is_safe_attribute(
            obj, attr, value
        )

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget = spent.get()
        budget.step()
        ints = isinstance(left, int) and isinstance(right, int)
        if operator == "%" and isinstance(left, str):
            budget.admit(len(left) + budget.formatted(left, PERCENT, right))
        elif operator == "**" and ints:
            budget.admit(inf if left.bit_length() * abs(right) > INTEGER_BITS else 0)
        elif operator == "*" and not ints:
            for some, times in ((left, right), (right, left)):
                if isinstance(times, int) and isinstance(some, (str, bytes, list, tuple)):
                    budget.admit(budget.weigh(some) * times)
        result = super().call_binop(context, operator, left, right)
        # A sum of lists holds what was weighed when it was made.
        budget.charge(8 * len(result) if isinstance(result, list) else budget.weigh(result))
        return result

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] mangled names there
        budget = spent.get()
        inner = {name: kwargs.pop(name) for name in _JINJA_ONLY if name in kwargs}
        method = getattr(obj, "__wrapped__", obj)  # the sandbox wraps str.format
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(obj, LoopContext) and args:
            args = (budget.turns(args[0]), *args[1:])

        def call(*args: Any, **kwargs: Any) -> Any:
            return ImmutableSandboxedEnvironment.call(self, context, obj, *args, **kwargs, **inner)

        if not isinstance(owner, str):
            return budget.run(
                "call", lambda _, *rest, **more: call(*rest, **more), obj, *args, **kwargs
            )
        if name == "join" and len(args) == 1:
            return budget.run(name, lambda items, _: call(items), args[0], owner)
        name = "str.format" if name == "format" else name
        return budget.run(
            name, lambda _, *rest, **more: call(*rest, **more), owner, *args, **kwargs
        )


@pass_context
def _shown(_: Context | None, value: Any) -> Any:
    """What `{{ ... }}` is about to turn into text: containers and numbers are measured first."""
    spent.get().weigh(value)
    return value


def _turns(items: Iterable[Any]) -> Iterator[Any]:
    return spent.get().turns(items)


def _concat(parts: list[Any]) -> str:
    return spent.get().concat(str(_shown(None, part)) for part in parts)


def _built(value: Any) -> Any:
    spent.get().charge(spent.get().weigh(value))
    return value


def _json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    return spent.get().concat(encoder.iterencode(value))


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(format: str) -> str:
    spent.get().admit(len(format) * MIB // 1_000)  # a thousand characters: each may become many
    return datetime.now().strftime(format)
