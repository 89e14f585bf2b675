"""Functions of Python's own: found now where what they are given is known."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import reduce
from typing import Any

from blocks.surgery.ejecting.literals import canonical
from blocks.surgery.ejecting.sequences import Sequences
from blocks.surgery.ejecting.values import (
    Code,
    Known,
    Many,
    Part,
    Slot,
    Value,
    calling,
    plain,
)

__all__: list[str] = []

PURE = (len, range, zip, enumerate, list, tuple, sum, max, min, int, float, isinstance, bool)
PURE += (reversed, sorted, any, all, str, abs, hasattr, getattr, map, round, set, dict, type)


class Pure(Sequences):
    """What `zip`, `sum`, `isinstance` and others give."""

    unzipped: Callable[..., Value]
    called: Callable[..., Value]

    def on_pure(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value | None:
        """A function of Python's own, of what is known."""
        parts = [self.listed(part) for part in args]
        if function in (list, tuple) and args and parts[0] is not None:
            return Many(parts[0])
        if function is zip and any(part is not None for part in parts) and None in parts:
            count = min(len(part) for part in parts if part is not None)
            args = [self.unzipped(part, count) for part in args]
            parts = [self.listed(part) for part in args]
        if function is zip and all(part is not None for part in parts):
            return Many([Many(list(row)) for row in zip(*parts, strict=False)])  # pyright: ignore[reportArgumentType]
        if function is enumerate and parts[0] is not None:
            return Many([Many([Known(i), part]) for i, part in enumerate(parts[0])])
        if function is reversed and parts[0] is not None:
            return Many(parts[0][::-1])
        if function is map and parts[1] is not None:
            return Many([self.called(args[0], [part], {}) for part in parts[1]])
        if function in (any, all) and parts[0] is not None:
            return self._decided(function is all, parts[0])
        if function is sum and parts[0] is not None:
            first = args[1:] or parts[0][:1] or [Known(0)]
            rest = parts[0] if args[1:] else parts[0][1:]
            return reduce(lambda a, b: self.joined(ast.Add(), a, b), rest, first[0])
        if function is len and parts[0] is not None:
            return Known(len(parts[0]))
        if function is getattr and isinstance(args[0], Part | Slot) and isinstance(args[1], Known):
            return self.attribute(args[0], args[1].value)
        if function is type and isinstance(args[0], Part):
            return Known(type(args[0].module))
        if function is isinstance and isinstance(args[0], Part):
            kind = args[1]
            return Known(isinstance(args[0].module, kind.value if isinstance(kind, Known) else ()))
        if function is isinstance and isinstance(args[0], Code | Many):
            kind = args[1].value if isinstance(args[1], Known) else None
            return Known(getattr(kind, "__name__", "") == "Tensor" and isinstance(args[0], Code))
        known = [part for part in [*args, *options.values()] if isinstance(part, Known)]
        if function is range:
            small = len(known) == len(args) and not any(part.node for part in known)
            if small:
                return Known(tuple(range(*(part.value for part in known))))
            return None
        if len(known) < len(args) + len(options):
            return None
        found = function(*(part.value for part in known))
        named = [part for part in known if part.node is not None or part.hint]
        if named and plain(found):
            code: Any = canonical(function)
            return Known(found, calling(code, *map(self.code, args)))
        return Known(found)

    def _decided(self, every: bool, parts: list[Value]) -> Value | None:
        truths = [self.truth(part) for part in parts]
        if (not every) in truths:
            return Known(not every)
        rest = [part for part, truth in zip(parts, truths, strict=True) if truth is None]
        if not rest:
            return Known(every)
        codes = [self.code(part) for part in rest]
        op = ast.And() if every else ast.Or()
        return Code(codes[0] if len(codes) == 1 else ast.BoolOp(op, codes))
