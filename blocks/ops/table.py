"""Tables [B H T S] of scores, or of what is seen, as rules: made whole, or asked one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from blocks.ops.together import hooked

__all__: list[str] = []

Pick = Callable[[Tensor], Tensor]


class Places(NamedTuple):
    """Which elements of a table are meant, by what they pick of what the table is made of.

    Attributes:
        q: of facts of the queries, [B T].
        k: of facts of the keys, [B S].
        pair: of facts of both, [B T S].
        head: the number of the head.
    """

    q: Pick
    k: Pick
    pair: Pick
    head: Any = None


# All rows, queries and keys; the heads are alike.
ALL = Places(lambda x: x[:, None, :, None], lambda x: x[:, None, None], lambda x: x[:, None])

Rule = Callable[[Places], Tensor]


def one(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Places:
    """The element of row b, head h, query i and key j, of tables made of [B …] or [1 …]."""

    def row(x: Tensor) -> Tensor:
        return b * 0 if len(x) == 1 else b

    return Places(
        q=lambda x: x[row(x), i], k=lambda x: x[row(x), j], pair=lambda x: x[row(x), i, j], head=h
    )


class Table:
    """A table of which attention may never need the whole.

    Args:
        rule: gives what tells an element from its places.
        rows: 1 where all rows are alike, else B.
        make: makes the whole; else it is what the rule says of all places.
    """

    def __init__(
        self, rule: Callable[[], Rule], rows: int, make: Callable[[], Tensor] | None = None
    ):
        self.rule, self.rows, self._make = rule, rows, make
        self._whole: Tensor | None = None
        self.blocks: Any = None  # which blocks of it hold anything, once somebody has asked

    @property
    def whole(self) -> Tensor:
        """Broadcasts to [B H T S]."""
        if self._whole is None:
            self._whole = self.rule()(ALL) if self._make is None else self._make()
        return self._whole


def whole(x: Tensor | Table | None) -> Tensor | None:
    """A tensor as it is, a table as a tensor."""
    return x.whole if isinstance(x, Table) else x


def biases(parts: Sequence[Any], q_positions: Tensor, k_positions: Tensor) -> Tensor | Table | None:
    """The sum of biases of positions [B T] and [B S], which broadcasts to [B H T S].

    A part gives it whole when it is called, and may have a method `rule` of the same arguments.
    """

    def make() -> Tensor:
        return reduce(torch.add, [part(q_positions, k_positions) for part in parts])

    def rule() -> Rule:
        rules = [part.rule(q_positions, k_positions) for part in parts]
        return lambda at: reduce(torch.add, [rule(at) for rule in rules])

    if not parts:
        return None
    if not all(hasattr(part, "rule") and not hooked(part) for part in parts):
        return make()
    return Table(rule, max(len(q_positions), len(k_positions)), make)
