"""Runs what a template calls, and sees that it is allowed and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import add, floordiv, mod, mul, pow, sub, truediv
from typing import Any

from jinja2.defaults import DEFAULT_POLICIES
from jinja2.exceptions import TemplateError, TemplateRuntimeError
from jinja2.runtime import LoopContext, Undefined

from blocks.text.budget import Budget
from blocks.text.costs import COSTS, product
from blocks.text.filters import FILTERS, TESTS
from blocks.text.values import CALLED, Function, Generator, attribute, item

__all__: list[str] = []

_LOOKUP = 64  # what finding an item counts as work, which a filter can do many times
_OPERATORS = {"+": add, "-": sub, "*": mul, "/": truediv, "//": floordiv, "%": mod, "**": pow}


class Host:
    """What a call costs; to Jinja's own filters this is their environment and their context."""

    is_async = autoescape = False
    undefined = Undefined
    policies = DEFAULT_POLICIES
    getattr = staticmethod(attribute)

    def __init__(self, budget: Budget):
        self.budget, self.environment = budget, self

    def getitem(self, value: Any, key: Any) -> Any:
        self.budget.work(_LOOKUP)
        return item(value, key)

    def call_filter(
        self, name: str, value: Any, args: Any = (), kwargs: Any = None, context: Any = None
    ) -> Any:
        if name not in FILTERS:
            raise TemplateRuntimeError(f"there is no filter {name!r}")
        return self.run(name, FILTERS[name], (value, *args), kwargs or {})

    def call_test(
        self, name: str, value: Any, args: Any = (), kwargs: Any = None, context: Any = None
    ) -> Any:
        if name not in TESTS:
            raise TemplateRuntimeError(f"there is no test {name!r}")
        return self.run(name, TESTS[name], (value, *args), kwargs or {})

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call what a template calls: a function or method of ours, a macro or a loop."""
        if isinstance(function, Function):
            return self.run(function.name, function.run, (*function.front, *args), kwargs)
        if not isinstance(function, CALLED):
            raise TemplateError(f"a {type(function).__name__} can't be called")
        with self._deeper():
            return self.budget.made(function(*args, **kwargs))

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self.budget.step()
        self.budget.deeper()
        try:
            yield
        finally:
            self.budget.deeper(-1)

    def run(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a filter, test, method or function, unless it would cost too much."""
        self.budget.step()
        if name in COSTS:
            self.budget.admit(COSTS[name](*args, **kwargs))
        self.budget.read(*args)
        front = (self,) if hasattr(function, "jinja_pass_arg") else ()
        result = function(*front, *args, **kwargs)
        if isinstance(result, Iterator) and not isinstance(result, (Generator, LoopContext)):
            return Generator(self.budget, result, args[0])
        return self.budget.made(result)

    def operate(self, operator: str, left: Any, right: Any) -> Any:
        """An operation of arithmetic."""
        if operator in ("*", "**", "%"):
            self.budget.admit(product(self.budget, operator, left, right))
        return self.budget.made(_OPERATORS[operator](left, right))
