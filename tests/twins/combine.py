"""Which values of a block's options are tried together."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from typing import Any

Grid = Mapping[str, Sequence[Any]]
Options = dict[str, Any]
Allowed = Callable[[Options], bool]

WHOLE, MORE, TRIES = 60, 6, 24


def few(grid: Grid) -> bool:
    return math.prod(map(len, grid.values())) <= WHOLE


def combined(grid: Grid, allowed: Allowed, seed: str, more: int = MORE) -> Iterator[Options]:
    """All combinations where they are few, else some that hold every pair, and `more` of chance."""
    if few(grid):
        every = (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))
        yield from filter(allowed, every)
        return
    yield from _covering(grid, allowed, random.Random(seed), more)


def _covering(grid: Grid, allowed: Allowed, chance: random.Random, more: int) -> Iterator[Options]:
    def drawn(fixed: Mapping[str, int]) -> dict[str, int]:
        return {n: fixed.get(n, chance.randrange(len(values))) for n, values in grid.items()}

    def options(at: Mapping[str, int]) -> Options:
        return {name: grid[name][i] for name, i in at.items()}

    left = {
        ((a, i), (b, j))
        for a, b in combinations(grid, 2)
        for i in range(len(grid[a]))
        for j in range(len(grid[b]))
    }
    while left:
        pair = min(left, key=str)
        tried = [at for at in (drawn(dict(pair)) for _ in range(TRIES)) if allowed(options(at))]
        left.discard(pair)  # a pair that nothing allows is not asked for again
        if tried:
            best = max(tried, key=lambda at: len(left.intersection(combinations(at.items(), 2))))
            left.difference_update(combinations(best.items(), 2))
            yield options(best)
    every = (options(drawn({})) for _ in range(TRIES * more))
    yield from islice(filter(allowed, every), more)
