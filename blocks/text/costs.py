"""At most how many bytes a call makes, or reads over, where its arguments multiply."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from blocks.text.budget import INTEGER_BITS, MIB, Budget

__all__: list[str] = []

_PERCENT = re.compile(r"%(?:\([^()%]*\))?[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?")


def product(budget: Budget, operator: str, left: Any, right: Any) -> float:
    """Of an operation of arithmetic: *, ** or %."""
    if operator == "%":
        return len(left) + _formatted(budget, left, right) if isinstance(left, str) else 0
    if isinstance(left, int) and isinstance(right, int):
        return inf if operator == "**" and left.bit_length() * abs(right) > INTEGER_BITS else 0
    some, times = (right, left) if isinstance(left, int) else (left, right)
    many = isinstance(some, (str, list, tuple)) and isinstance(times, int)
    return budget.weigh(some) * times if many else 0


def _formatted(budget: Budget, text: str, values: Any) -> float:
    """Of `text % values`, beside the text."""
    fields = list(_PERCENT.finditer(text))
    numbers = [abs(v) for v in values if isinstance(v, int)] if isinstance(values, tuple) else []
    width = {"*": max(numbers, default=0)}
    given = [part for found in fields for part in found.groups() if part]
    widths = sum(width[part] if part in width else int(part[:9]) for part in given)
    times = len(fields) if isinstance(values, Mapping) else 1
    return widths + 8 * len(fields) + times * budget.weigh(values)


def _width(_: Any, width: int = 80, *more: Any, **others: Any) -> int:
    return width


def _indented(s: Any, width: int | str = 4, *more: Any, **others: Any) -> int:
    return (str(s).count("\n") + 2) * (len(width) if isinstance(width, str) else width)


def _replaced(s: Any, old: Any, new: Any, count: int | None = None) -> int:
    found = str(s).count(str(old))
    return (found if count is None or count < 0 else min(found, count)) * len(str(new))


def _searched(s: Any, part: str | None = None, *more: Any, **others: Any) -> float:
    """Python compares every place with the whole of the part."""
    return len(str(s)) * len(part or "") / 64


def _listed(value: Any, *more: Any, **others: Any) -> int:
    """A list of a text's characters weighs more than the text."""
    return 9 * len(value) if isinstance(value, str) else 0


def _rounded(_: Any, precision: int = 0, method: str = "") -> float:
    return inf if abs(precision) > INTEGER_BITS // 4 else 0


COSTS: dict[str, Callable[..., float]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _width),
    **dict.fromkeys(("trim", "strip", "lstrip", "rstrip"), _searched),
    **dict.fromkeys(("rfind", "rindex", "rsplit", "rpartition"), _searched),
    **dict.fromkeys(("groupby", "list", "sort", "unique"), _listed),
    "batch": lambda _, linecount, fill_with=None: 8 * linecount,
    "slice": lambda value, slices, fill_with=None: 8 * slices + _listed(value),
    "indent": _indented,
    "replace": _replaced,
    "round": _rounded,
    "strftime_now": lambda format: len(format) * MIB // 4_000,
}
