"""The filters, tests and functions that templates may use: Jinja's own where they are harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from jinja2 import filters, tests
from jinja2.exceptions import TemplateError
from jinja2.runtime import Undefined
from jinja2.sandbox import SandboxedEscapeFormatter, SandboxedFormatter, safe_range
from jinja2.utils import missing, pass_environment
from markupsafe import Markup

from blocks.text.values import OFFERS, Dictionary, Function, Namespace, OwnCycler, OwnJoiner, member

if TYPE_CHECKING:
    from blocks.text.budget import Budget
    from blocks.text.host import Host

__all__: list[str] = []

GENERATION = "{% generation %}"  # a name that no template can write
_DIGITS = re.compile(r"\d+")


class _Formatter(SandboxedFormatter):
    size = 0

    def format_field(self, value: Any, format_spec: str) -> str:
        budget: Budget = self._env.budget  # pyright: ignore[reportAttributeAccessIssue] a Host
        budget.admit(max((int(digits[:9]) for digits in _DIGITS.findall(format_spec)), default=0))
        text = super().format_field(value, format_spec)
        self.size += len(text)
        budget.admit(self.size)
        return text


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    pass


@pass_environment
def _format(host: Host, text: str, /, *args: Any, **kwargs: Any) -> str:
    return _format_map(host, text, kwargs, args)


@pass_environment
def _format_map(host: Any, text: str, values: Mapping[str, Any], args: Any = ()) -> str:
    if isinstance(text, Markup):
        return Markup(_EscapeFormatter(host, escape=text.escape).vformat(text, args, values))
    return _Formatter(host).vformat(text, args, values)


@pass_environment
def _joined(host: Host, separator: str, items: Iterable[Any]) -> str:
    return host.budget.concat(items, separator)


@pass_environment
def _join(host: Any, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(host, attribute), value)
    return host.budget.concat(map(str, value), str(d))


@pass_environment
def _sum(host: Any, value: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    if attribute is not None:
        value = map(filters.make_attrgetter(host, attribute), value)
    terms = list(value)
    if isinstance(start, str) or all(isinstance(term, (int, float)) for term in (start, *terms)):
        return sum(terms, start)  # with Python's rounding, and its dislike of texts
    for term in terms:
        host.budget.step()
        start = host.operate("+", start, term)
    return start


@pass_environment
def _percent(host: Host, /, value: Any, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise TemplateError("format takes values by place or by name, not both")
    return host.operate("%", value if isinstance(value, str) else str(value), kwargs or args)


def _attr(value: Any, name: str) -> Any:
    found = member(value, name)
    return Undefined(obj=value, name=name) if found is missing else found


@pass_environment
def _json(
    host: Host,
    x: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    host.budget.admit(64 * (indent if isinstance(indent, int) else len(indent or "")))
    options: dict[str, Any] = {"indent": indent, "separators": separators, "sort_keys": sort_keys}
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(ensure_ascii=ensure_ascii, **options).iterencode(x):
        size += len(part)
        host.budget.admit(size)
        parts.append(part)
    return "".join(parts)


@pass_environment
def _namespace(host: Host, /, *args: Any, **kwargs: Any) -> Namespace:
    return Namespace(host.budget.made(dict(*args, **kwargs)))


_TEXT = {"format": _format, "format_map": _format_map, "join": _joined}
for _kind in (str, Markup):
    OFFERS[_kind] |= {name: partial(Function, name, run) for name, run in _TEXT.items()}


def _raise(message: Any) -> None:
    raise TemplateError(str(message))


def _now(format: str) -> str:
    return datetime.now().strftime(format)


_FILTERS = (
    "abs batch capitalize center count d default dictsort e escape filesizeformat first float "
    "forceescape groupby indent int items last length list lower map max min reject rejectattr "
    "replace reverse round safe select selectattr slice sort string title trim truncate unique "
    "upper urlencode wordcount"
)
_TESTS = (
    "!= < <= == > >= boolean callable defined divisibleby eq equalto escaped even false float ge "
    "greaterthan gt in integer iterable le lessthan lower lt mapping ne none number odd sameas "
    "sequence string true undefined upper"
)
FILTERS: dict[str, Callable[..., Any]] = {n: filters.FILTERS[n] for n in _FILTERS.split()} | {
    "attr": _attr,
    "format": _percent,
    "join": _join,
    "sum": _sum,
    "tojson": _json,
}
TESTS: dict[str, Callable[..., Any]] = {n: tests.TESTS[n] for n in _TESTS.split()} | {
    "filter": lambda name: name in FILTERS,
    "test": lambda name: name in TESTS,
}
GLOBALS: dict[str, Any] = {
    "cycler": Function("cycler", OwnCycler),
    "joiner": Function("joiner", OwnJoiner),
    "namespace": Function("namespace", _namespace),
    "range": Function("range", safe_range),
    "dict": Dictionary("dict", dict),
    "raise_exception": Function("raise_exception", _raise),
    "strftime_now": Function("strftime_now", _now),
    GENERATION: Function("generation", lambda caller: caller()),
}
