"""Folding: equal neighbours as one row, and each of several kinds that take turns."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from blocks.hub.columns import ranges

__all__: list[str] = []

_LONGEST_PERIOD = 8  # layers
_NUMBERS = re.compile(r"(\d+)(?:-(\d+)|,(\d+)(?:…(\d+))?)?")


AnyRow = TypeVar("AnyRow")  # a dataclass with a name, `times`, and a `_kind` that equals share


def folded(parts: list[AnyRow]) -> list[AnyRow]:
    """Equal neighbours as one part, and each of several kinds that take turns."""
    found: list[Any] = []
    rows: list[Any] = parts
    at = 0
    while at < len(rows):
        period, times = _repeats(rows, at)
        for one in rows[at : at + period]:
            if times > 1:
                one = dataclasses.replace(one, name=_run(one.name, period, times), times=times)
            found.append(one)
        at += period * times
    return found


def _repeats(parts: Sequence[Any], at: int) -> tuple[int, int]:
    """The period that covers most from `at` on, and how often it comes; the shortest of equals."""
    stem, _, number = parts[at].name.rpartition(".")
    kinds: list[Any] = []
    for part in parts[at:] if number.isdecimal() else ():
        if part.name != f"{stem}.{int(number) + len(kinds)}":
            break
        kinds.append(part._kind)
    best = (1, 1)
    for period in range(1, min(_LONGEST_PERIOD, len(kinds) // 2) + 1):
        times = 1
        while kinds[period * times : period * (times + 1)] == kinds[:period]:
            times += 1
        if times > 1 and period * times > best[0] * best[1]:
            best = (period, times)
    return best


def _run(name: str, period: int, times: int) -> str:
    stem, _, number = name.rpartition(".")
    first = int(number)
    return f"{stem}.{run_text(range(first, first + period * times, period))}"


def run_text(numbers: Sequence[int]) -> str:
    """Numbers in order as one segment of an address: "0-31", "0,2…30", "3", or "0,4,6-9"."""
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) == 1:
        return str(numbers[0])
    if steps == {1}:
        return f"{numbers[0]}-{numbers[-1]}"
    if len(steps) == 1:
        return f"{numbers[0]},{numbers[1]}" + f"…{numbers[-1]}" * (len(numbers) > 2)
    return ranges(numbers).strip("{}")


def numbered(address: str) -> tuple[str, tuple[int, ...], str]:
    """What stands before the first numbers of a folded address, they, and what follows."""
    segments = address.split(".")
    for at, segment in enumerate(segments):
        if found := _NUMBERS.fullmatch(segment):
            first, last, second, end = (int(n) if n else None for n in found.groups())
            first = first or 0
            step = 1 if second is None else second - first
            run = range(first, (last or end or second or first) + 1, step)
            return ".".join(segments[:at]), tuple(run), ".".join(segments[at + 1 :])
    return address, (), ""


def merged(addresses: Iterable[str]) -> str:
    """Folded addresses that differ in their first numbers alone, as one."""
    parts = [numbered(address) for address in addresses]
    numbers = sorted({n for _, some, _ in parts for n in some})
    head, _, tail = parts[0]
    middle = [run_text(numbers)] if numbers else []
    return ".".join(one for one in (head, *middle, tail) if one)
