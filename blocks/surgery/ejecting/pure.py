"""Functions of Python's own: found now where what they are given is known."""

from __future__ import annotations

import ast
from functools import reduce
from typing import Any

from blocks.surgery.ejecting.code import calling
from blocks.surgery.ejecting.literals import canonical
from blocks.surgery.ejecting.sequences import Sequences
from blocks.surgery.ejecting.values import Code, Known, Many, Part, Slot, Value, all_known, plain

__all__: list[str] = []

PURE = (len, range, zip, enumerate, list, tuple, sum, max, min, int, float, isinstance, bool)
PURE += (reversed, sorted, any, all, str, abs, hasattr, getattr, map, round, set, dict, type)


class Pure(Sequences):
    """What `zip`, `sum`, `isinstance` and others give."""

    def on_pure(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value | None:
        """A function of Python's own, of what is known."""
        found = self.of_module(function, args)
        if found is None and function is zip:
            found = self.zipped(args)
        parts = self.listed(args[-1 if function is map else 0]) if args else None
        if found is None and parts is not None:
            found = self.of_parts(function, parts, args)
        if found is not None:
            return found
        values = [*args, *options.values()]
        known = all_known(values)
        if known is None:
            return None
        named = [part for part in values if isinstance(part, Known) and part.named]
        if function is range:  # of a number that code names it stays one, to be a loop
            counted = any(part.node for part in named)
            node = calling("range", *map(self.code, args)) if counted else None
            return Known(range(*known) if counted else tuple(range(*known)), node)
        result = function(*known)
        code: Any = canonical(function) if named and plain(result) else None
        return Known(result, code and calling(code, *map(self.code, args)))

    def zipped(self, args: list[Value]) -> Value | None:
        parts = [self.listed(part) for part in args]
        known = [part for part in parts if part is not None]
        if known and None in parts:
            count = min(map(len, known))
            parts = [self.listed(self.unzipped(part, count)) for part in args]
        if None in parts:
            return None
        return Many([Many(list(row)) for row in zip(*parts, strict=False)])  # pyright: ignore[reportArgumentType]

    def of_parts(self, function: Any, parts: list[Value], args: list[Value]) -> Value | None:
        """A function of something whose parts are known one by one."""
        if function in (list, tuple):
            return Many(parts)
        if function is enumerate:
            return Many([Many([Known(i), part]) for i, part in enumerate(parts)])
        if function is map:
            return Many([self.called(args[0], [part], {}) for part in parts])
        if function in (any, all):
            found = self.decided(ast.And() if function is all else ast.Or(), parts)
            truth = self.truth(found)
            return found if truth is None else Known(truth)
        if function is sum:
            first, *rest = [*args[1:], *parts] or [Known(0)]
            return reduce(lambda a, b: self.joined(ast.Add(), a, b), rest, first)
        return Known(len(parts)) if function is len else None

    def of_module(self, function: Any, args: list[Value]) -> Value | None:
        """What is asked of a module, or of what a tensor is found in."""
        owner = args[0] if args else None
        if function is getattr and isinstance(owner, Part | Slot) and isinstance(args[1], Known):
            return self.attribute(owner, args[1].value)
        if function is type and isinstance(owner, Part):
            return Known(type(owner.module))
        if function is isinstance and isinstance(owner, Part | Code | Many):
            kind = args[1].value if isinstance(args[1], Known) else ()
            if isinstance(owner, Part):
                return Known(isinstance(owner.module, kind))
            return Known(isinstance(owner, Code) and getattr(kind, "__name__", "") == "Tensor")
        return None
