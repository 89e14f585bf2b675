"""Which values of a block's options are tried together."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Grid = Mapping[str, Sequence[Any]]
Options = dict[str, Any]

WHOLE, MORE = 60, 8


def combined(grid: Grid, allowed: Callable[[Options], bool], seed: str) -> Iterator[Options]:
    """All combinations where they are few, else some with every pair of values, and random ones."""
    names = list(grid)
    if math.prod(map(len, grid.values())) <= WHOLE:
        for values in product(*grid.values()):
            if allowed(options := dict(zip(names, values, strict=True))):
                yield options
        return
    chance = random.Random(seed)
    wanted = set(_pairs(grid))
    first = dict.fromkeys(names, 0)
    tries = 0
    while wanted and tries < 200:
        drawn = [first] if tries == 0 else [_drawn(grid, wanted, chance) for _ in range(12)]
        tries += 1
        drawn = [at for at in drawn if allowed(_at(grid, at))]
        if drawn and wanted & (found := max((_held(at) for at in drawn), key=wanted.__rand__len)):
            wanted -= found
