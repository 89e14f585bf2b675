"""What a template may spend: steps, time, and the size of everything it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MappingView
from itertools import chain
from sys import getsizeof
from time import thread_time
from typing import Any

from jinja2.exceptions import TemplateError

__all__: list[str] = []

INTEGER_BITS = 4_096
MIB = 1 << 20
_KIB = 1 << 10
_DEPTH = 64  # of containers in containers, and of calls in calls
_ITEM = 48  # bytes of an item in a new list, beside its place there
_PACE = 16 * _KIB  # bytes of work between two looks at the clock
_STEP = 2 * _KIB  # what a step counts as work

CONTAINERS = (list, tuple, dict, set, frozenset)
_LONG = (str, *CONTAINERS, range, MappingView)


class Budget:
    """What one rendering may spend; it grows with what the caller put in, not with the template.

    No value grows beyond `longest` when written out, so no operation on values can take long.
    """

    def __init__(self, data: Mapping[str, Any], messages: int = 0):
        self._known: dict[int, int] = {}
        given = self._given(data)
        self.longest = 256 * _KIB + 4 * given + 2 * _KIB * messages
        self._bytes = 16 * self.longest + 4 * given * messages
        self._steps = 200_000 + 1_000 * messages
        self._depth = self._unseen = 0
        # Processor time, not the clock's: a busy machine is no fault of the template.
        self._until = thread_time() + 0.3 + given / MIB + messages / 1_000

    def _given(self, value: Any) -> int:
        """Weigh the caller's data and remember every container: they stay as they are."""
        if isinstance(value, str):
            return len(value)
        if not isinstance(value, CONTAINERS):
            return _flat(value)
        weight = 8 * len(value) + sum(map(self._given, _parts(value)))
        self._known[id(value)] = weight
        return weight

    def step(self) -> None:
        """Another turn of a loop, call, filter or test."""
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError("the template takes too many steps")
        self.work(_STEP)

    def read(self, *values: Any) -> None:
        """Something goes through the values."""
        for value in values:
            if isinstance(value, _LONG):
                self.work(8 * len(value))

    def work(self, size: int) -> None:
        """Something reads or writes so many bytes."""
        self._unseen += size
        if self._unseen >= _PACE:
            self._look()

    def _look(self) -> None:
        self._unseen = 0
        if thread_time() > self._until:
            raise TemplateError("the template takes too much time")

    def deeper(self, by: int = 1) -> None:
        """A call in a call begins, or by -1 ends."""
        self._depth += by
        self.nested(self._depth)

    def nested(self, depth: int) -> None:
        if depth > _DEPTH:
            raise TemplateError(f"the template nests calls or values more than {_DEPTH} deep")

    def admit(self, size: float) -> None:
        """Refuse what would be too large, best before it is made."""
        if size > self.longest:
            raise TemplateError(f"the template makes something larger than {self.longest} bytes")

    def made(self, value: Any) -> Any:
        """Count a value that an operation has just made."""
        if isinstance(value, str):
            if len(value) > self.longest:
                self.admit(len(value))
            self._charge(getsizeof(value))
        elif isinstance(value, int):
            if value.bit_length() > INTEGER_BITS:
                raise TemplateError(f"the template makes a number of more than {INTEGER_BITS} bits")
        elif isinstance(value, CONTAINERS):
            self.weigh(value)
            self._charge(getsizeof(value) + _ITEM * len(value))
        return value

    def _charge(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise TemplateError("the template makes too much text")
        self._unseen += size
        if self._unseen >= _PACE:
            self._look()

    def concat(self, parts: Iterable[str], separator: str = "") -> str:
        """The parts in one, each admitted before the next is made."""
        kept: list[str] = []
        size = 0
        for part in parts:
            size += len(part) + len(separator)
            self.admit(size)
            kept.append(part)
        return self.made(separator.join(kept))

    def weigh(self, *values: Any) -> int:
        """Bytes of the values with all they hold, counted as often as it would be written out."""
        weight, todo = 0, [(value, 0) for value in values]
        while todo:
            value, depth = todo.pop()
            if not isinstance(value, CONTAINERS):
                weight += _flat(value)
            elif known := self._known.get(id(value)):
                weight += known
            else:
                self.nested(depth)
                self.work(8 * len(value))
                weight += 8 * len(value)
                self.admit(weight)
                todo += [(part, depth + 1) for part in _parts(value)]
            self.admit(weight)
        return weight


def _parts(value: Any) -> Iterable[Any]:
    return chain(value, value.values()) if isinstance(value, dict) else value


def _flat(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return value.bit_length() >> 1 if isinstance(value, int) else 8
