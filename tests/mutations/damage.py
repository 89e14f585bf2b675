"""Seeded damage: JSON edited in a few places; bytes flipped, lost, added or cut off."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]
# Values that some reader somewhere has been surprised by.
ODD: tuple[Any, ...] = (
    *(0, 1, 2, 3, -1, -8, 2**31, 2**46, 2**48, 2**63, -(2**63), 10**40),
    *(0.0, -0.0, 0.5, -0.5, 1.5, 8.0, 1e-310, 1e308, math.nan, math.inf, -math.inf),
    *(True, False, None, "", " ", "0", "8", "null", "F16", "I32", "silu", "../up", "/dev/zero"),
    *("\x00", "\x1b[2J", "\u202e", "\ud800", "重み", "x" * 600),
    *([], [0], [[]], [None], [1, 2], ["a"], DEEP, {}, {"a": 1}, {"": []}, {"__float__": "NaN"}),
)


class Twin(str):
    """A key that may stand beside an equal one: JSON is written with both."""

    __slots__ = ()
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __eq__(self, other: object) -> bool:
        return self is other


def edited(tree: Any, random: Random) -> Any:
    """A copy of a JSON value with one to three places set, deleted, renamed, swapped or scaled."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 2, 3))):
        holders = [holder for holder in _holders(tree) if holder]
        if not holders:
            break
        holder = random.choice(holders)
        key = random.choice(_keys(holder))
        random.choice(EDITS)(holders, holder, key, random)
    return tree


def _holders(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (dict, list)) and tree is not DEEP:
        yield tree
        for part in list(tree.values()) if isinstance(tree, dict) else tree:
            yield from _holders(part)


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def _set(holders: list[Any], holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice(ODD)


def _delete(holders: list[Any], holder: Any, key: Any, random: Random) -> None:
    del holder[key]


def _add(holders: list[Any], holder: Any, key: Any, random: Random) -> None:
    value = random.choice((*ODD, *(holder[key] for key in _keys(holder))))
    if isinstance(holder, list):
        holder.insert(key, value)
    else:
        holder[random.choice((Twin(key), "added", "", "\ud800", f"{key}.0", "a" * 600))] = value


def _rename(holders: list[Any], holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, list):
        return holder.reverse()
    letter = random.randrange(len(key) + 1)
    other = key[:letter] + random.choice(("", "0", "1", ".", "é", "_")) + key[letter + 1 :]
    holder[random.choice((other, key.upper(), f"{key} ", "__metadata__"))] = holder.pop(key)


def _swap(holders: list[Any], holder: Any, key: Any, random: Random) -> None:
    """With a neighbour, or with the same place of another object."""
    alike = [one for one in holders if isinstance(holder, dict) and one is not holder]
    alike = [one for one in alike if isinstance(one, dict) and key in one]
    other, place = holder, random.choice(_keys(holder))
    if alike and random.random() < 0.5:
        other, place = random.choice(alike), key
    holder[key], other[place] = other[place], holder[key]


def _scale(holders: list[Any], holder: Any, key: Any, random: Random) -> None:
    value = holder[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        twice, half = value * 2, value // 2 if isinstance(value, int) else value / 2
        holder[key] = random.choice((twice, half, value + 1, value - 1, -value, float(value)))
    else:
        holder[key] = random.choice(([value], str(value), {"value": value}))


Edit = Callable[[list[Any], Any, Any, Random], None]
EDITS: tuple[Edit, ...] = (_set, _set, _delete, _add, _rename, _swap, _swap, _scale)


def bitten(data: bytes, random: Random) -> bytes:
    """Bytes with one to four bites: flipped bits, other bytes, runs lost, added or moved."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        at, run = random.randrange(len(found) + 1), random.choice((1, 1, 2, 8, 40))
        kind = random.choice(("flip", "set", "lose", "add", "repeat", "swap"))
        if kind == "flip" and at < len(found):
            found[at] ^= 1 << random.randrange(8)
        elif kind == "set" and at < len(found):
            found[at] = random.choice((random.randrange(256), *b'0189FBIU{}[]:," '))
        elif kind == "lose":
            del found[at : at + run]
        elif kind == "add":
            found[at:at] = random.randbytes(run)
        elif kind == "repeat":
            found[at:at] = found[at : at + run]
        elif kind == "swap" and len(found) > 1:
            other = random.randrange(len(found))
            at %= len(found)
            found[at], found[other] = found[other], found[at]
    return bytes(found)
