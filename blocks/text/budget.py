"""What a template may spend: steps, time, and the size of everything it makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from math import inf
from time import thread_time
from typing import Any

from jinja2.exceptions import TemplateError

__all__: list[str] = []

MIB = 1 << 20
INTEGER_BITS = 4_096
PERCENT = re.compile(r"%(?:\([^()%]*\))?[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?")
_BRACES = re.compile(r"\{[^{}]*\{?")
_DIGITS = re.compile(r"\d+")
_DEPTH = 64


class Budget:
    """What one rendering may spend; it grows with what the caller put in, not with the template."""

    def __init__(self, given: int = 0, messages: int = 0):
        self._longest = MIB + 4 * given
        self._text = 16 * self._longest + 4 * given * messages
        self._steps = 200_000 + 1_000 * messages
        self._looks = 0
        # Processor time, not the clock's: a busy machine is no fault of the template.
        self._until = thread_time() + 0.5 + given / MIB

    def step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError("the template takes too many steps")
        self._be_in_time()

    def _be_in_time(self) -> None:
        self._looks += 1
        if self._looks % 8 == 0 and thread_time() > self._until:
            raise TemplateError("the template takes too much time")

    def admit(self, size: float) -> None:
        if size > self._longest:
            raise TemplateError(f"the template makes something larger than {self._longest} bytes")

    def charge(self, size: int) -> None:
        self._text -= size
        if self._text < 0:
            raise TemplateError("the template makes too much text")

    def weigh(self, *values: Any) -> int:
        """Bytes of the values with all they hold, counted as often as it would be written out."""
        weight, todo = 0, [(value, 0) for value in values]
        while todo:
            value, depth = todo.pop()
            inside: Iterable[Any] = ()
            if isinstance(value, (str, bytes)):
                weight += len(value)
            elif isinstance(value, int):
                self.admit(inf if value.bit_length() > INTEGER_BITS else 0)
            elif isinstance(value, (list, tuple, set, frozenset, range, Mapping)):
                self._be_in_time()
                weight += 8 * len(value)
                if isinstance(value, Mapping):
                    inside = chain(value, value.values())
                elif not isinstance(value, range):
                    inside = value
            self.admit(inf if depth > _DEPTH else weight)
            todo += [(item, depth + 1) for item in inside]
        return weight

    def concat(self, parts: Iterable[str]) -> str:
        kept: list[str] = []
        size = 0
        for part in parts:
            size += len(part)
            self.admit(size)
            kept.append(part)
        self.charge(size)
        return "".join(kept)

    def turns(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.step()
            yield item

    def run(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a filter or a method, unless what it is given or would give is too large."""
        self.step()
        if name == "join" and args and not isinstance(args[0], (str, Mapping)):
            args = (list(self.turns(args[0])), *args[1:])
        weight = self.weigh(args, kwargs)
        numbers = [abs(v) for v in (*args[1:], *kwargs.values()) if isinstance(v, int)]
        self.admit(max(numbers, default=0))
        self.admit(weight + self._growth(name, args, kwargs))
        result = function(*args, **kwargs)
        self.charge(self.weigh(result))
        return result

    def _growth(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
        """At most how many bytes the call adds to what it takes, where one argument multiplies."""

        def given(at: int, keyword: str, default: Any) -> Any:
            return kwargs.get(keyword, args[at] if at < len(args) else default)

        if name == "join":
            return len(args[0]) * self.weigh(given(1, "d", ""))
        if name == "replace":
            return str(args[0]).count(str(given(1, "old", ""))) * self.weigh(given(2, "new", ""))
        if name == "indent":
            width = given(1, "width", 4)
            return str(args[0]).count("\n") * (width if isinstance(width, int) else len(width))
        if name == "format":
            return self.formatted(str(args[0]), PERCENT, (args[1:], kwargs))
        if name == "str.format":
            return self.formatted(args[0].replace("{{", ""), _BRACES, (args[1:], kwargs))
        return 0

    def formatted(self, text: str, field: re.Pattern[str], values: Any) -> float:
        """At most the bytes a format string gives; widths taken from values are refused."""
        fields = [match[0] for match in field.finditer(text)]
        if any("*" in found or "{" in found[1:] for found in fields):
            return inf
        widths = sum(int(digits[:9]) for found in fields for digits in _DIGITS.findall(found))
        return widths + len(fields) * self.weigh(values)
