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
    *(True, False, None, "", " ", "0", "8", "null", "../up", "/dev/zero", "x" * 600),
    *("\x00", "\x1b[2J", "\u202e", "\ud800", "重み"),
    *([], [0], [[]], [None], [1, 2], ["a"], DEEP, {}, {"a": 1}, {"": []}, {"__float__": "NaN"}),
)
# Words that another file of the kind may hold at the same place.
WORDS = """
    F64 F32 F16 BF16 I32 U16 U8 BOOL F8_E4M3 F8_E5M2 float32 bfloat16 gelu relu silu tanh default
    linear dynamic yarn longrope llama mistral granite qwen2 gemma gpt2 LlamaForCausalLM
    MistralForCausalLM model.safetensors model-00001-of-00002.safetensors lm_head.weight
""".split()


class Twin(str):
    """A key that may stand beside an equal one: both are written."""

    __slots__ = ()
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __eq__(self, other: object) -> bool:
        return self is other


def edited(tree: Any, random: Random) -> Any:
    """A copy of a JSON object with one to three places set, deleted, renamed, swapped or scaled."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 2, 3))):
        holder = _somewhere(tree, random)
        if holder:
            random.choice(EDITS)(tree, holder, random.choice(_keys(holder)), random)
    return tree


def _somewhere(tree: Any, random: Random) -> Any:
    """An object or list, found by walking in: all levels alike, however many are on each."""
    while tree and random.random() < 0.65:
        inner = tree[random.choice(_keys(tree))]
        if not isinstance(inner, (dict, list)):
            break
        tree = inner
    return tree


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def _set(tree: Any, holder: Any, key: Any, random: Random) -> None:
    holder[key] = copy.deepcopy(random.choice(ODD))


def _delete(tree: Any, holder: Any, key: Any, random: Random) -> None:
    del holder[key]


def _add(tree: Any, holder: Any, key: Any, random: Random) -> None:
    value = copy.deepcopy(random.choice((*ODD, *(holder[key] for key in _keys(holder)))))
    if isinstance(holder, list):
        holder.insert(key, value)
    else:
        holder[random.choice((Twin(key), "added", "", "\ud800", f"{key}.0", "a" * 600))] = value


def _rename(tree: Any, holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, list):
        return holder.reverse()
    letter = random.randrange(len(key) + 1)
    other = key[:letter] + random.choice(("", "0", "1", ".", "é", "_")) + key[letter + 1 :]
    holder[random.choice((other, key.upper(), f"{key} ", "__metadata__"))] = holder.pop(key)


def _swap(tree: Any, holder: Any, key: Any, random: Random) -> None:
    """With a neighbour, or with the same place of another object."""
    other, place = holder, random.choice(_keys(holder))
    if isinstance(holder, dict) and random.random() < 0.5:
        alike = [one for one in _objects(tree) if key in one]
        other, place = random.choice(alike or [holder]), key  # a Twin is nowhere else
    ours, theirs = copy.deepcopy(holder[key]), copy.deepcopy(other[place])
    holder[key], other[place] = theirs, ours


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from _objects(part)


def _scale(tree: Any, holder: Any, key: Any, random: Random) -> None:
    value = holder[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        half = value // 2 if isinstance(value, int) else value / 2
        holder[key] = random.choice((value * 2, half, value + 1, value - 1, -value, float(value)))
    elif isinstance(value, str) and random.random() < 0.8:
        holder[key] = random.choice(WORDS)
    else:
        holder[key] = random.choice(([value], str(value), {"value": value}))


EDITS: tuple[Callable[[Any, Any, Any, Random], None], ...] = (
    *(_set, _set, _delete, _add),
    *(_rename, _swap, _swap, _scale),
)


def bitten(data: bytes, random: Random) -> bytes:
    """Bytes with one to four bites: flipped bits, other bytes, runs lost, added or doubled."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        at, run = random.randrange(len(found)), random.choice((1, 1, 2, 8, 40))
        bite = random.choice(("flip", "set", "lose", "add", "double", "swap"))
        if bite == "flip":
            found[at] ^= 1 << random.randrange(8)
        elif bite == "set":
            found[at] = random.choice((random.randrange(256), *b'0189FBIU{}[]:," '))
        elif bite == "lose" and len(found) > run:
            del found[at : at + run]
        elif bite == "add":
            found[at:at] = random.randbytes(run)
        elif bite == "double":
            found[at:at] = found[at : at + run]
        else:
            other = random.randrange(len(found))
            found[at], found[other] = found[other], found[at]
    return bytes(found)
