"""What a template can hold beside plain data, and all it can ask of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.filters import _GroupTuple as Group
from jinja2.runtime import LoopContext, Macro, Undefined
from jinja2.utils import Cycler, Joiner, missing
from markupsafe import Markup

from blocks.text.budget import Budget

__all__: list[str] = []


class _Unwritable:
    """What has no text: Python's would hold an address."""

    def __repr__(self) -> str:
        raise TemplateError(
            f"a {type(self).__name__.removeprefix('Own').lower()} has no text to write"
        )


class Namespace(_Unwritable):
    """What `namespace(...)` makes: the only thing a template can change."""

    def __init__(self, values: dict[Any, Any]):
        self.held: dict[Any, Any] = {}
        for name, value in values.items():
            self.put(name, value)

    def put(self, name: Any, value: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a namespace can't hold the private name {name!r}")
        self.held[name] = value


class Function(_Unwritable):
    """A method of a value, or a function that every template has."""

    def __init__(self, name: str, run: Callable[..., Any], *front: Any):
        self.name, self.run, self.front = name, run, front

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*self.front, *args, **kwargs)


class Dictionary(Function):
    """The name `dict`, which has a method of its own."""


class Generator(_Unwritable):
    """What a filter gives piece by piece; every piece is a step."""

    def __init__(self, budget: Budget, pieces: Iterator[Any], source: Any):
        self.depth = source.depth + 1 if isinstance(source, Generator) else 1
        budget.nested(self.depth)
        self._budget, self._pieces = budget, pieces

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._budget.step()
        return self._budget.made(next(self._pieces))


class OwnJoiner(Joiner, _Unwritable):
    __repr__ = _Unwritable.__repr__


class OwnCycler(Cycler, _Unwritable):
    __repr__ = _Unwritable.__repr__


CALLED = (Macro, LoopContext, Undefined, Joiner)
_STRING = (
    "capitalize casefold center count endswith find format format_map index isalnum isalpha "
    "isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper "
    "join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust "
    "rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill"
)
_METHODS: dict[type, str] = {
    str: _STRING,
    Markup: _STRING,
    list: "copy count index",
    tuple: "count index",
    Group: "count index",
    dict: "copy get items keys values",
    LoopContext: "changed cycle",
    OwnCycler: "next reset",
}
_FIELDS: dict[type, str] = {
    LoopContext: "depth depth0 first index index0 last length nextitem previtem revindex revindex0",
    Macro: "arguments caller catch_kwargs catch_varargs name",
    OwnCycler: "current",
    Group: "grouper list",
}
_OTHERS = (bool, int, float, complex, type(None), range, Undefined)


def _offers(kind: type) -> dict[str, Callable[[Any], Any]]:
    """By name, what the attribute of a value is."""
    methods = _METHODS.get(kind, "").split()
    offers: dict[str, Any] = {n: partial(Function, n, getattr(kind, n)) for n in methods}
    return offers | {n: attrgetter(n) for n in _FIELDS.get(kind, "").split()}


OFFERS = {kind: _offers(kind) for kind in {*_METHODS, *_FIELDS}}
OFFERS[Dictionary] = {"fromkeys": lambda _: Function("fromkeys", dict.fromkeys)}
OFFERS[dict] |= OFFERS[Dictionary]
_OBJECT = frozenset(dir(object))
_PYTHON = {kind: frozenset(dir(kind)) for kind in {*_METHODS, *_FIELDS, *_OTHERS}}


def member(value: Any, name: str) -> Any:
    """The attribute that Jinja finds, if a template may have it; `missing` if there is none."""
    kind = type(value)
    if kind is Namespace:
        return value.held.get(name, missing)
    offers = OFFERS.get(kind)
    if offers and name in offers:
        return offers[name](value)
    if name not in _PYTHON.get(kind, _OBJECT):
        return missing
    if not name.startswith("_") and kind not in (list, dict):
        raise SecurityError(f"{name!r} of {kind.__name__!r} is not for chat templates")
    reason = f"access to {name!r} of {kind.__name__!r} is unsafe"
    return Undefined(reason, obj=value, name=name, exc=SecurityError)


def attribute(value: Any, name: str) -> Any:
    """`value.name`: the attribute, else the item."""
    found = member(value, name)
    if found is not missing:
        return found
    try:
        return value[name]
    except (TypeError, LookupError):
        return Undefined(obj=value, name=name)


def item(value: Any, key: Any) -> Any:
    """`value[key]`: the item, else the attribute."""
    try:
        return value[key]
    except (TypeError, LookupError):
        found = member(value, key) if isinstance(key, str) else missing
    return Undefined(obj=value, name=key) if found is missing else found
